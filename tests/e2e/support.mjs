// A daemon of one's own for each test, and an HTTP client that trusts its certificate alone.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const BINARY =
  process.env.WALLCAST_BINARY ?? fileURLToPath(new URL("../../target/debug/wallcast", import.meta.url));

/** Longer than anything that works can take: tests wait for things, never for time. */
const PATIENCE_MS = 20_000;

/** Starts a daemon; the test's end stops it and removes its data folder. */
export async function startDaemon(t, options = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), "wallcast-e2e-"));
  const child = spawn(BINARY, ["serve"], {
    env: {
      PATH: process.env.PATH,
      WALLCAST_DATA_DIR: folder,
      WALLCAST_LISTEN: "127.0.0.1:0",
      ...options,
    },
    stdio: ["ignore", "pipe", "inherit"].map((mode, fd) =>
      fd === 2 && !process.env.WALLCAST_E2E_LOG ? "ignore" : mode,
    ),
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  });
  const lines = createInterface({ input: child.stdout });
  const line = await within("the ready line", new Promise((resolve) => lines.once("line", resolve)));
  const port = Number(/https=127\.0\.0\.1:(\d+)/.exec(line)[1]);
  const socketPath = path.join(folder, "wallcast.sock");
  const ca = (await request(http, { socketPath, path: "/ca.crt" })).text;
  const daemon = { child, exited, folder, port, ca, url: `https://localhost:${port}` };
  daemon.local = api((options) => request(http, { socketPath, ...options }));
  daemon.as = (token) =>
    api((options) => request(https, { host: "localhost", port, ca, ...options }), token);
  const admin = await daemon.local("POST", "/api/tokens", { role: "admin", name: "e2e" });
  daemon.adminToken = admin.body.token;
  daemon.admin = daemon.as(admin.body.token);
  return daemon;
}

/** Makes an area and gives its id. */
export async function createArea(daemon, name) {
  return (await daemon.admin("POST", "/api/areas", { name })).body.id;
}

/** Pairs a tablet by code: `{id, token}`. */
export async function pair(daemon, name, areaIds) {
  const offer = await daemon.admin("POST", "/api/pairing/codes", { name, areaIds });
  const answer = await daemon.as()("POST", "/api/pairing/complete", { code: offer.body.code });
  return { id: answer.body.clientId, token: answer.body.token };
}

/** Waits for something that must come. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of an emitter's next event of that name. */
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
