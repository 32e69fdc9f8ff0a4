// A house for tests: Core, the stand-in Supervisor in front of it, and daemons that live behind that.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import http from "node:http";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

import { startDaemon, within } from "../e2e/support.mjs";
import { PROGRAMS, enter, eventually, makeUser, startCore } from "./core.mjs";

const STANDIN = fileURLToPath(new URL("standin.py", import.meta.url));
const INGRESS_FROM = "127.0.0.2";

/** Core with a stand-in Supervisor, for all tests of a file; `close` ends both. */
export async function startHouse(more) {
  const core = await startCore(more);
  try {
    const supervisorUser = await makeUser(core, "Supervisor", "system-admin");
    return await standIn(core, supervisorUser.token);
  } catch (error) {
    await core.close();
    throw error;
  }
}

async function standIn(core, coreToken) {
  const token = randomBytes(56).toString("hex");
  const child = spawn(path.join(PROGRAMS, "python"), [STANDIN], {
    env: {
      PATH: process.env.PATH,
      SUPERVISOR_TOKEN: token,
      STANDIN_CORE: core.url,
      STANDIN_CORE_TOKEN: coreToken,
      STANDIN_CORE_VERSION: core.version,
      STANDIN_INGRESS_FROM: INGRESS_FROM,
    },
    stdio: ["ignore", "pipe", process.env.WALLCAST_E2E_LOG ? "inherit" : "ignore"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const line = await within("Supervisor", new Promise((resolve) => lines.once("line", resolve)));
  const port = Number(line.split(" ")[1]);
  const set = async (method, path, body) => {
    const answer = await ask(port, method, `/standin/${path}`, {}, body);
    if (answer.status !== 200) throw new Error(`the stand-in failed: ${answer.status} ${answer.text}`);
    return answer;
  };
  return {
    core,
    port,
    token,
    /** How a person of the house makes something so: a command of Core's WebSocket API. */
    command: (type, fields) => core.door.command(type, fields),
    /** A session of Core's API as an app has it. */
    enterAsApp: (as = token) => enter(`ws://127.0.0.1:${port}/core/websocket`, as),
    ask: (method, path, headers, body) => ask(port, method, path, headers, body),
    /** Supervisor takes Core for stopped: cuts what it proxies, and refuses more with 502. */
    loseCore: () => set("PUT", "core", { runs: false }),
    findCore: () => set("PUT", "core", { runs: true }),
    setApp: (ingress) => set("PUT", "app", { ingress }),
    /** A browser in which this user of Core opened the panel. */
    browser: async (user) => {
      const { session } = (await set("POST", "session", user)).body.data;
      return browser(port, session);
    },
    close: async () => {
      child.kill("SIGKILL");
      await exited;
      await core.close();
    },
  };
}

function browser(port, session) {
  const base = `/api/hassio_ingress/${"t".repeat(43)}`;
  const cookie = `ingress_session=${session}`;
  return {
    base,
    ask: (method, path, body, headers = {}) =>
      ask(port, method, base + path, { cookie, ...headers }, body),
    open: (path, headers = {}) =>
      new WebSocket(`ws://127.0.0.1:${port}${base}${path}`, { headers: { cookie, ...headers } }),
  };
}

function ask(port, method, path, headers, body) {
  const answer = new Promise((resolve, reject) => {
    const sent = http.request({ port, host: "127.0.0.1", method, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        const isJson = response.headers["content-type"]?.startsWith("application/json");
        const { statusCode: status, headers } = response;
        resolve({ status, headers, text, body: isJson ? JSON.parse(text) : undefined });
      });
    });
    for (const [name, value] of Object.entries(headers ?? {})) sent.setHeader(name, value);
    sent.on("error", reject);
    if (body === undefined) return sent.end();
    sent.setHeader("content-type", "application/json");
    sent.end(JSON.stringify(body));
  });
  return within(`${method} ${path}`, answer);
}

/** A daemon as Supervisor would start it: the app of this house. */
export async function startApp(t, house, options = {}) {
  const daemon = await startDaemon(t, {
    SUPERVISOR_TOKEN: house.token,
    WALLCAST_SUPERVISOR_URL: `http://127.0.0.1:${house.port}`,
    WALLCAST_INGRESS_LISTEN: "127.0.0.1:0",
    WALLCAST_INGRESS_FROM: INGRESS_FROM,
    ...options,
  });
  const { restart } = daemon;
  daemon.restart = async (signal, meanwhile) => {
    await restart(signal, meanwhile);
    await house.setApp(`127.0.0.1:${daemon.ingressPort}`);
  };
  await house.setApp(`127.0.0.1:${daemon.ingressPort}`);
  return daemon;
}

/** The area of that id once it is mirrored, with at least these entities. */
export function mirrored(daemon, areaId, entityIds = []) {
  return eventually(`area ${areaId} with ${entityIds.join(", ") || "anything"}`, async () => {
    const { status, body } = await daemon.admin("GET", `/api/areas/${areaId}`);
    return status === 200 && entityIds.every((id) => body.entityIds.includes(id)) ? body : null;
  });
}

/** Waits until the daemon's health says this word of Home Assistant. */
export function homeIs(daemon, word) {
  return eventually(`homeassistant to be ${word}`, async () => {
    const { body } = await daemon.admin("GET", "/health");
    return body.services.homeassistant === word;
  });
}

/** A tablet on `/ws` that writes down all it is told; `position` is a query to come back with. */
export async function tabletOn(t, daemon, token, position = "") {
  const socket = new WebSocket(`wss://localhost:${daemon.port}/ws${position}`, {
    ca: daemon.ca,
    headers: { authorization: `Bearer ${token}` },
  });
  t.after(() => socket.terminate());
  return listening(socket);
}

/** Writes down what a JSON WebSocket is told, and asks on it. */
export async function listening(socket) {
  const told = [];
  const waiting = new Set();
  socket.on("message", (text) => {
    const message = JSON.parse(text);
    told.push({ ...message, at: performance.now() });
    for (const check of [...waiting]) check();
  });
  let last = 0;
  /** The first message at or after `from` (an index into `told`) that fits. */
  const heard = (what, fits, from = 0) => {
    let check;
    const seen = new Promise((resolve) => {
      check = () => {
        const found = told.slice(from).find(fits);
        if (found) resolve(found);
      };
      waiting.add(check);
      check();
    });
    return within(what, seen).finally(() => waiting.delete(check));
  };
  const tablet = {
    socket,
    told,
    heard,
    of: (type) => told.filter((message) => message.type === type).map((message) => message.data),
    /** Sends a message that is answered, and gives the result's data. */
    ask: async (type, data = {}) => {
      const requestId = `r${++last}`;
      socket.send(JSON.stringify({ type, data, requestId }));
      return (await heard(`the answer to ${type}`, (message) => message.requestId === requestId)).data;
    },
    /** Everything told to this session before now has come once this has: answers keep the order. */
    settle: () => tablet.ask("ping"),
  };
  await heard("connection", ({ type }) => type === "connection");
  return tablet;
}
