// Runs the `wire` blocks of the pages in docs/: sends every request and frame, and compares every response and
// event with what the page shows.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import WebSocket from "ws";

import { next, startDaemon, within } from "./support.mjs";

const DOCS = new URL("../../docs/", import.meta.url);
/** Events that can arrive at any time, so pages need not show them. */
const IGNORED_EVENTS = new Set(["client_online", "client_offline", "presence", "heartbeat", "system_status"]);

/** The steps in a page's `wire` blocks. The JSON of a step can continue on indented lines. */
function stepsOf(page) {
  const blocks = [...page.matchAll(/^```wire\n([^]*?)^```$/gm)].map(([, text]) => text);
  return blocks
    .flatMap((text) => text.replaceAll(/\n\s+/g, " ").split("\n"))
    .filter((line) => line !== "");
}

/** Parses JSON in which an unquoted `$name` is a variable. */
const read = (text) => JSON.parse(text.replaceAll(/(^|[\[:,]\s*)\$(\w+)/g, '$1"$$$2"'));

class Scenario {
  #t;
  #daemon;
  #variables = {};
  #actors = {};

  constructor(t, daemon) {
    this.#t = t;
    this.#daemon = daemon;
    this.#actors = { admin: { token: daemon.adminToken }, nobody: {} };
  }

  async step(line) {
    const [, who, verb, rest] = /^(\w+)\s*(brings|opens|closes|>|<)\s*(.*)$/.exec(line) ?? [];
    assert.ok(who, "not a valid step");
    const actor = (this.#actors[who] ??= {});
    if (verb === "brings") actor.token = this.#substitute(rest);
    else if (verb === "opens") await this.#open(actor, this.#substitute(rest));
    else if (verb === "closes") actor.socket.close();
    else if (verb === "<") await this.#expect(actor, rest);
    else if (/^[A-Z]+ \//.test(rest)) await this.#request(actor, rest);
    else actor.socket.send(JSON.stringify(this.#substitute(read(rest))));
  }

  async #request(actor, rest) {
    const [, method, path, body] = /^([A-Z]+) (\S+)\s*(.*)$/.exec(rest);
    const sent = body && this.#substitute(read(body));
    actor.response = await this.#daemon.as(actor.token)(method, this.#substitute(path), sent || undefined);
  }

  async #open(actor, path) {
    const headers = actor.token ? { authorization: `Bearer ${actor.token}` } : {};
    const url = `wss://localhost:${this.#daemon.port}${path}`;
    actor.socket = new WebSocket(url, { headers, ca: this.#daemon.ca });
    actor.received = [];
    actor.socket.on("message", (frame) => {
      const message = JSON.parse(frame.toString());
      if (IGNORED_EVENTS.has(message.type)) return;
      actor.received.push(message);
      actor.socket.emit("received");
    });
    this.#t.after(() => actor.socket.terminate());
    await next(actor.socket, "open");
  }

  async #expect(actor, rest) {
    const [, status, body] = /^(\d{3})?\s*(.*)$/.exec(rest);
    if (status) {
      assert.equal(actor.response.status, Number(status), actor.response.text);
      if (body) this.#match(read(body), actor.response.body, "the response");
      else assert.equal(actor.response.text, "");
      return;
    }
    if (actor.received.length === 0) await next(actor.socket, "received");
    this.#match(read(body), actor.received.shift(), "the event");
  }

  /** Replaces variables in text and JSON with their values. */
  #substitute(value) {
    if (typeof value === "string") {
      const whole = /^\$(\w+)$/.exec(value);
      if (whole) return this.#value(whole[1]);
      return value.replaceAll(/\$(\w+)/g, (_, name) => this.#value(name));
    }
    if (Array.isArray(value)) return value.map((item) => this.#substitute(item));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.#substitute(key), this.#substitute(item)]));
  }

  #value(name) {
    assert.ok(name in this.#variables, `$${name} has no value yet`);
    return this.#variables[name];
  }

  /**
   * Compares JSON. `$name` matches any value the first time, and the same value later. A text that ends with `…`
   * matches by its beginning. Timestamps match any timestamp.
   */
  #match(expected, actual, where) {
    if (typeof expected === "string") {
      const name = /^\$(\w+)$/.exec(expected)?.[1];
      if (name && !(name in this.#variables)) {
        assert.notEqual(actual, undefined, where);
        this.#variables[name] = actual;
      } else if (expected.endsWith("…")) {
        assert.equal(typeof actual, "string", where);
        assert.ok(actual.startsWith(this.#substitute(expected.slice(0, -1))), `${where}: ${actual}`);
      } else if (/^\d{4}-\d\d-\d\dT/.test(expected)) {
        assert.match(actual, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, where);
      } else {
        assert.deepEqual(actual, this.#substitute(expected), where);
      }
    } else if (Array.isArray(expected)) {
      assert.ok(Array.isArray(actual), `${where}: ${JSON.stringify(actual)}`);
      assert.equal(actual.length, expected.length, `${where}: ${JSON.stringify(actual)}`);
      expected.forEach((item, n) => this.#match(item, actual[n], `${where}[${n}]`));
    } else if (expected !== null && typeof expected === "object") {
      assert.equal(typeof actual, "object", `${where}: ${actual}`);
      const keys = Object.keys(expected).map((key) => this.#substitute(key));
      assert.deepEqual(Object.keys(actual).sort(), keys.sort(), `${where}: ${JSON.stringify(actual)}`);
      for (const [key, item] of Object.entries(expected)) {
        this.#match(item, actual[this.#substitute(key)], `${where}.${key}`);
      }
    } else {
      assert.equal(actual, expected, where);
    }
  }
}

for (const name of (await readdir(DOCS)).filter((name) => name.endsWith(".md"))) {
  const page = await readFile(new URL(name, DOCS), "utf8");
  const steps = stepsOf(page);
  if (steps.length === 0) continue;
  test(`docs/${name} shows the daemon's real responses`, async (t) => {
    const daemon = await startDaemon(t);
    const scenario = new Scenario(t, daemon);
    for (const [n, step] of steps.entries()) {
      await within(step, scenario.step(step)).catch((error) => {
        throw new Error(`step ${n + 1}, ${step}\n${error.message}`, { cause: error });
      });
    }
  });
}

test("the README links to every page", async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  for (const name of await readdir(DOCS)) assert.ok(readme.includes(`(docs/${name})`), name);
});
