// Test support: a daemon for each test, an HTTP client that trusts its certificate, child processes and a proxy.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const BINARY =
  process.env.WALLCAST_BINARY ?? fileURLToPath(new URL("../../target/debug/wallcast", import.meta.url));

/** The time limit for anything that a test waits for. */
const TIMEOUT_MS = 20_000;

/** Starts a daemon; the end of the test kills it and removes its data folder. */
export async function startDaemon(t, options = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), "wallcast-e2e-"));
  const daemon = { folder, log: "" };
  t.after(async () => {
    daemon.child.kill("SIGKILL");
    await daemon.exited;
    await rm(folder, { recursive: true, force: true });
  });
  await launch(daemon, options, 0);
  const socketPath = path.join(folder, "wallcast.sock");
  daemon.ca = (await request(http, { socketPath, path: "/ca.crt" })).text;
  daemon.url = `https://localhost:${daemon.port}`;
  daemon.local = api((options) => request(http, { socketPath, ...options }));
  daemon.as = (token) =>
    api(
      (options) => request(https, { host: "localhost", port: daemon.port, ca: daemon.ca, ...options }),
      token,
    );
  const admin = await daemon.local("POST", "/api/tokens", { role: "admin", name: "e2e" });
  daemon.adminToken = admin.body.token;
  daemon.admin = daemon.as(admin.body.token);
  /** Writes a line to its standard input, as `hassio.addon_stdin` does. */
  daemon.type = (line) => daemon.child.stdin.write(`${line}\n`);
  /** Sends the signal, runs `meanwhile` after the exit, and starts the daemon again on the same folder and port. */
  daemon.restart = async (signal, meanwhile = () => {}) => {
    daemon.child.kill(signal);
    await daemon.exited;
    await meanwhile();
    await launch(daemon, options, daemon.port);
  };
  return daemon;
}

async function launch(daemon, options, port) {
  daemon.child = spawn(BINARY, ["serve"], {
    env: {
      PATH: process.env.PATH,
      WALLCAST_DATA_DIR: daemon.folder,
      WALLCAST_LISTEN: `127.0.0.1:${port}`,
      ...options,
    },
    stdio: "pipe",
  });
  daemon.child.stderr.setEncoding("utf8").on("data", (text) => {
    daemon.log += text;
    if (process.env.WALLCAST_E2E_LOG) process.stderr.write(text);
  });
  daemon.exited = new Promise((resolve) => daemon.child.once("exit", resolve));
  const lines = createInterface({ input: daemon.child.stdout });
  const line = await within("the ready line", new Promise((resolve) => lines.once("line", resolve)));
  const portOf = (listener) => Number(new RegExp(`${listener}=127\\.0\\.0\\.1:(\\d+)`).exec(line)?.[1]);
  daemon.port = portOf("https");
  daemon.plainPort = portOf("plain");
  daemon.ingressPort = portOf("ingress");
}

/** Creates an area and returns its id. */
export async function createArea(daemon, name) {
  return (await daemon.admin("POST", "/api/areas", { name })).body.id;
}

/** Pairs a tablet with an admin's code. Returns `{id, token}`. */
export async function pair(daemon, name, areaIds) {
  const offer = await daemon.admin("POST", "/api/pairing/codes", { name, areaIds });
  const answer = await daemon.as()("POST", "/api/pairing/complete", { code: offer.body.code });
  return { id: answer.body.clientId, token: answer.body.token };
}

/** Runs a program and collects its output. `until` waits for a pattern in the output and returns all of it. */
export function run(t, program, args, { input, ...options } = {}) {
  const child = spawn(program, args, { ...options, stdio: "pipe", detached: true });
  child.stdin.end(input);
  let printed = "";
  const waiting = new Set();
  const checkAll = () => waiting.forEach((check) => check());
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      printed += chunk;
      checkAll();
    });
  }
  t.after(() => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has already ended.
    }
  });
  return {
    child,
    exited: new Promise((resolve) => child.once("exit", resolve)),
    until: (pattern) =>
      within(
        `${pattern}`,
        new Promise((resolve) => {
          const check = () => {
            if (!pattern.test(printed)) return;
            waiting.delete(check);
            resolve(printed);
          };
          waiting.add(check);
          check();
        }),
      ).catch((error) => {
        throw new Error(`${error.message}; printed so far:\n${printed}`);
      }),
  };
}

/** Waits for a promise, and fails after the time limit. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out waiting for ${what}`)), TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits for an emitter's next event of this name, and returns its arguments. */
export function next(emitter, name) {
  return within(name, new Promise((resolve) => emitter.once(name, (...args) => resolve(args))));
}

function api(send, token) {
  return (method, path, body) => {
    const headers = { host: "localhost" };
    if (token) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    return send({ method, path, headers, body: body && JSON.stringify(body) });
  };
}

function request(library, { body, ...options }) {
  const answer = new Promise((resolve, reject) => {
    const sent = library.request({ agent: false, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        let parsed;
        try {
          parsed = JSON.parse(text);
        } catch {
          parsed = undefined;
        }
        resolve({ status: response.statusCode, headers: response.headers, text, body: parsed });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
  return within(`${options.method ?? "GET"} ${options.path}`, answer);
}

/** Starts a TCP proxy to the daemon whose connections can be cut or left half-open. */
export async function startProxy(t, daemon) {
  const pairs = new Set();
  let isDown = false;
  const server = net.createServer((near) => {
    if (isDown) return near.destroy();
    const far = net.connect(daemon.port, "127.0.0.1");
    const pair = { near, far };
    pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("error", () => to.destroy());
      from.on("close", () => pair.isSilent || to.destroy());
      from.pipe(to);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const { near, far } of pairs) near.destroy(), far.destroy();
    server.close();
  });
  return {
    url: `https://localhost:${server.address().port}`,
    /** Closes both ends of every connection, and refuses new ones until `restore`. */
    cut() {
      isDown = true;
      for (const { near, far } of pairs) near.destroy(), far.destroy();
      pairs.clear();
    },
    restore() {
      isDown = false;
    },
    /** Stops all traffic on the open connections without closing them, as while a device sleeps. */
    blockTraffic() {
      for (const pair of pairs) {
        pair.isSilent = true;
        for (const end of [pair.near, pair.far]) end.unpipe(), end.pause();
      }
    },
    /** Closes the client's end of every connection. The daemon's end stays open without traffic. */
    leaveHalfOpen() {
      for (const pair of pairs) {
        pair.isSilent = true;
        pair.near.unpipe();
        pair.far.unpipe();
        pair.far.pause();
        pair.near.destroy();
      }
    },
  };
}
