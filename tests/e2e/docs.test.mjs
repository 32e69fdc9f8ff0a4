// The pages of docs/, run as they stand there: every request is sent, every frame too, and every
// answer must have the shape that the page shows.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import WebSocket from "ws";

import { next, startDaemon, within } from "./support.mjs";

const DOCS = new URL("../../docs/", import.meta.url);
/** What a page need not tell of, since others' doings bring it at any time. */
const BESIDE = new Set(["client_online", "client_offline", "presence", "heartbeat", "system_status"]);

/** The steps of a page's `wire` blocks; a step's JSON may go on in indented lines. */
function stepsOf(page) {
  const blocks = [...page.matchAll(/^```wire\n([^]*?)^```$/gm)].map(([, text]) => text);
  return blocks
    .flatMap((text) => text.replaceAll(/\n\s+/g, " ").split("\n"))
    .filter((line) => line !== "");
}

/** JSON in which a bare `$name` stands for any value. */
const read = (text) => JSON.parse(text.replaceAll(/(^|[\[:,]\s*)\$(\w+)/g, '$1"$$$2"'));

class Story {
  #t;
  #daemon;
  #known = {};
  #actors = {};

  constructor(t, daemon) {
    this.#t = t;
    this.#daemon = daemon;
    this.#actors = { admin: { token: daemon.adminToken }, nobody: {} };
  }

  async step(line) {
    const [, who, verb, rest] = /^(\w+)\s*(brings|opens|closes|>|<)\s*(.*)$/.exec(line) ?? [];
    assert.ok(who, "no step of a story");
    const actor = (this.#actors[who] ??= {});
    if (verb === "brings") actor.token = this.#filled(rest);
    else if (verb === "opens") await this.#open(actor, this.#filled(rest));
    else if (verb === "closes") actor.socket.close();
    else if (verb === "<") await this.#expect(actor, rest);
    else if (/^[A-Z]+ \//.test(rest)) await this.#ask(actor, rest);
    else actor.socket.send(JSON.stringify(this.#filled(read(rest))));
  }

  async #ask(actor, rest) {
    const [, method, path, body] = /^([A-Z]+) (\S+)\s*(.*)$/.exec(rest);
    const sent = body && this.#filled(read(body));
    actor.answer = await this.#daemon.as(actor.token)(method, this.#filled(path), sent || undefined);
  }

  async #open(actor, path) {
    const headers = actor.token ? { authorization: `Bearer ${actor.token}` } : {};
    const url = `wss://localhost:${this.#daemon.port}${path}`;
    actor.socket = new WebSocket(url, { headers, ca: this.#daemon.ca });
    actor.heard = [];
    actor.socket.on("message", (frame) => {
      const message = JSON.parse(frame.toString());
      if (BESIDE.has(message.type)) return;
      actor.heard.push(message);
      actor.socket.emit("heard");
    });
    this.#t.after(() => actor.socket.terminate());
    await next(actor.socket, "open");
  }

  async #expect(actor, rest) {
    const [, status, body] = /^(\d{3})?\s*(.*)$/.exec(rest);
    if (status) {
      assert.equal(actor.answer.status, Number(status), actor.answer.text);
      if (body) this.#match(read(body), actor.answer.body, "the answer");
      else assert.equal(actor.answer.text, "");
      return;
    }
    if (actor.heard.length === 0) await next(actor.socket, "heard");
    this.#match(read(body), actor.heard.shift(), "what was told");
  }

  /** Text and JSON with what was seen before in the place of its name. */
  #filled(value) {
    if (typeof value === "string") {
      const whole = /^\$(\w+)$/.exec(value);
      if (whole) return this.#of(whole[1]);
      return value.replaceAll(/\$(\w+)/g, (_, name) => this.#of(name));
    }
    if (Array.isArray(value)) return value.map((item) => this.#filled(item));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.#filled(key), this.#filled(item)]));
  }

  #of(name) {
    assert.ok(name in this.#known, `$${name} was not told yet`);
    return this.#known[name];
  }

  /** `$name` is whatever comes, and the same from then on; `…` ends a text anyhow; times are any. */
  #match(expected, actual, where) {
    if (typeof expected === "string") {
      const name = /^\$(\w+)$/.exec(expected)?.[1];
      if (name && !(name in this.#known)) {
        assert.notEqual(actual, undefined, where);
        this.#known[name] = actual;
      } else if (expected.endsWith("…")) {
        assert.equal(typeof actual, "string", where);
        assert.ok(actual.startsWith(this.#filled(expected.slice(0, -1))), `${where}: ${actual}`);
      } else if (/^\d{4}-\d\d-\d\dT/.test(expected)) {
        assert.match(actual, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, where);
      } else {
        assert.deepEqual(actual, this.#filled(expected), where);
      }
    } else if (Array.isArray(expected)) {
      assert.ok(Array.isArray(actual), `${where}: ${JSON.stringify(actual)}`);
      assert.equal(actual.length, expected.length, `${where}: ${JSON.stringify(actual)}`);
      expected.forEach((item, n) => this.#match(item, actual[n], `${where}[${n}]`));
    } else if (expected !== null && typeof expected === "object") {
      assert.equal(typeof actual, "object", `${where}: ${actual}`);
      const keys = Object.keys(expected).map((key) => this.#filled(key));
      assert.deepEqual(Object.keys(actual).sort(), keys.sort(), `${where}: ${JSON.stringify(actual)}`);
      for (const [key, item] of Object.entries(expected)) {
        this.#match(item, actual[this.#filled(key)], `${where}.${key}`);
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
  test(`docs/${name} tells what happens`, async (t) => {
    const daemon = await startDaemon(t);
    const story = new Story(t, daemon);
    for (const [n, step] of steps.entries()) {
      await within(step, story.step(step)).catch((error) => {
        throw new Error(`step ${n + 1}, ${step}\n${error.message}`, { cause: error });
      });
    }
  });
}

test("the README leads to every page", async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  for (const name of await readdir(DOCS)) assert.ok(readme.includes(`(docs/${name})`), name);
});
