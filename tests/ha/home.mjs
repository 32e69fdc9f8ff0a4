// A Home Assistant home for tests: Core, the stand-in Supervisor in front of it, and daemons that connect to it.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import http from "node:http";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

import { startDaemon, within } from "../e2e/support.mjs";
import { PROGRAMS, eventually, makeUser, openSession, startCore } from "./core.mjs";

const STANDIN = fileURLToPath(new URL("standin.py", import.meta.url));
const INGRESS_FROM = "127.0.0.2";

/** Starts Core and a stand-in Supervisor for all tests of a file. `close` stops both. */
export async function startHome(more) {
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
    /** Sends a command to Core's WebSocket API as its owner. */
    command: (type, fields) => core.session.command(type, fields),
    /** Opens a session of Core's API through Supervisor's proxy, as an app does. */
    openSessionAsApp: (as = token) => openSession(`ws://127.0.0.1:${port}/core/websocket`, as),
    ask: (method, path, headers, body) => ask(port, method, path, headers, body),
    /** Makes Supervisor treat Core as stopped: it cuts proxied connections and responds with 502. */
    disconnectCore: () => set("PUT", "core", { runs: false }),
    reconnectCore: () => set("PUT", "core", { runs: true }),
    setApp: (ingress) => set("PUT", "app", { ingress }),
    /** A browser session in which this user of Core has opened the panel. */
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

/** Starts a daemon as Supervisor would start the app. */
export async function startApp(t, home, options = {}) {
  const daemon = await startDaemon(t, {
    SUPERVISOR_TOKEN: home.token,
    WALLCAST_SUPERVISOR_URL: `http://127.0.0.1:${home.port}`,
    WALLCAST_INGRESS_LISTEN: "127.0.0.1:0",
    WALLCAST_INGRESS_FROM: INGRESS_FROM,
    ...options,
  });
  const { restart } = daemon;
  daemon.restart = async (signal, meanwhile) => {
    await restart(signal, meanwhile);
    await home.setApp(`127.0.0.1:${daemon.ingressPort}`);
  };
  await home.setApp(`127.0.0.1:${daemon.ingressPort}`);
  return daemon;
}

/** Waits until the area is mirrored with at least these entities, and returns it. */
export function waitForMirroredArea(daemon, areaId, entityIds = []) {
  return eventually(`area ${areaId} with ${entityIds.join(", ") || "anything"}`, async () => {
    const { status, body } = await daemon.admin("GET", `/api/areas/${areaId}`);
    return status === 200 && entityIds.every((id) => body.entityIds.includes(id)) ? body : null;
  });
}

/** Waits until the daemon's health shows this status of Home Assistant. */
export function waitForHomeAssistant(daemon, word) {
  return eventually(`homeassistant to be ${word}`, async () => {
    const { body } = await daemon.admin("GET", "/health");
    return body.services.homeassistant === word;
  });
}

/** Connects a tablet to `/ws` and records its messages. `position` is a query string to resume from. */
export async function connectTablet(t, daemon, token, position = "") {
  const socket = new WebSocket(`wss://localhost:${daemon.port}/ws${position}`, {
    ca: daemon.ca,
    headers: { authorization: `Bearer ${token}` },
  });
  t.after(() => socket.terminate());
  return recordMessages(socket);
}

/** Records the messages of a JSON WebSocket, and sends requests on it. */
export async function recordMessages(socket) {
  const received = [];
  const waiting = new Set();
  socket.on("message", (text) => {
    const message = JSON.parse(text);
    received.push({ ...message, at: performance.now() });
    for (const check of [...waiting]) check();
  });
  let last = 0;
  /** Waits for the first message at or after the index `from` that matches. */
  const waitFor = (what, matches, from = 0) => {
    let check;
    const seen = new Promise((resolve) => {
      check = () => {
        const found = received.slice(from).find(matches);
        if (found) resolve(found);
      };
      waiting.add(check);
      check();
    });
    return within(what, seen).finally(() => waiting.delete(check));
  };
  const tablet = {
    socket,
    received,
    waitFor,
    of: (type) => received.filter((message) => message.type === type).map((message) => message.data),
    /** Sends a message with a request id, and returns the data of its response. */
    ask: async (type, data = {}) => {
      const requestId = `r${++last}`;
      socket.send(JSON.stringify({ type, data, requestId }));
      return (await waitFor(`the response to ${type}`, (message) => message.requestId === requestId)).data;
    },
    /** Waits until all earlier events of this session have arrived. Responses keep the order. */
    settle: () => tablet.ask("ping"),
  };
  await waitFor("connection", ({ type }) => type === "connection");
  return tablet;
}
