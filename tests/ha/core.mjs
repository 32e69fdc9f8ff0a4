// Starts a real Home Assistant Core in a temporary folder, and talks to its REST and WebSocket APIs.

import { spawn } from "node:child_process";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

/** The folder with `hass` and `python`: from install.sh, or of another installation. */
export const PROGRAMS =
  process.env.WALLCAST_HA_PROGRAMS ?? fileURLToPath(new URL("../../target/ha/bin", import.meta.url));

/** Core starts in seconds, but the machine may be busy. */
const TIMEOUT_MS = 90_000;

const CONFIGURATION = `
homeassistant:
  name: House
  latitude: 52.0
  longitude: 5.0
  elevation: 0
  unit_system: metric
  time_zone: UTC
http:
  server_host: 127.0.0.1
  server_port: PORT
frontend:
config:
demo:
`;

/** Calls `check` until its result is truthy, and returns it. */
export async function eventually(what, check, timeout = 30_000) {
  const until = Date.now() + timeout;
  for (;;) {
    const seen = await check();
    if (seen) return seen;
    if (Date.now() > until) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Starts Core with `more` lines of configuration and creates its owner (Anna). `close` stops Core and removes it. */
export async function startCore(more = "") {
  const folder = await mkdtemp(path.join(tmpdir(), "wallcast-ha-"));
  const core = { folder, port: await freePort() };
  core.url = `http://127.0.0.1:${core.port}`;
  await writeFile(
    path.join(folder, "configuration.yaml"),
    CONFIGURATION.replace("PORT", core.port) + more,
  );
  core.start = () => start(core);
  core.isUp = () => core.child.exitCode === null && core.child.signalCode === null;
  /** Stops Core with a signal. SIGTERM lets it save its state, SIGKILL does not. */
  core.stop = async (signal) => {
    core.child.kill(signal);
    await core.exited;
  };
  core.close = async () => {
    core.session?.close();
    await core.stop("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  };
  try {
    core.startedInMs = await core.start();
    core.owner = await onboard(core);
    await running(core);
    core.session = await openSession(`${core.url}/api/websocket`, core.owner);
  } catch (error) {
    const log = await readFile(path.join(folder, "core.out"), "utf8").catch(() => "");
    await core.close();
    throw new Error(`Home Assistant Core did not start: ${error.message}\n${log.slice(-4000)}`);
  }
  core.version = core.session.version;
  return core;
}

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(core) {
  const started = Date.now();
  const log = await open(path.join(core.folder, "core.out"), "a");
  core.child = spawn(path.join(PROGRAMS, "hass"), ["-c", core.folder, "--skip-pip"], {
    stdio: ["ignore", log.fd, log.fd],
  });
  core.exited = new Promise((resolve) => core.child.once("exit", resolve));
  core.child.once("error", () => {});
  await log.close();
  await eventually(
    "Core's first response",
    async () => {
      if (!core.isUp()) throw new Error(`hass ended with ${core.child.exitCode}`);
      return (await get(`${core.url}/api/onboarding`))?.ok;
    },
    TIMEOUT_MS,
  );
  if (core.owner) {
    await running(core);
    core.session = await openSession(`${core.url}/api/websocket`, core.owner);
  }
  return Date.now() - started;
}

function get(url, token) {
  return fetch(url, { headers: token ? { authorization: `Bearer ${token}` } : {} }).catch(() => null);
}

async function running(core) {
  await eventually(
    "Core to be running",
    async () => {
      const answer = await get(`${core.url}/api/core/state`, core.owner);
      return answer?.ok && (await answer.json()).state === "RUNNING";
    },
    TIMEOUT_MS,
  );
}

async function post(url, body, token) {
  const isForm = body instanceof URLSearchParams;
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      ...(isForm ? {} : { "content-type": "application/json" }),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    body: isForm ? body : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Runs the first step of onboarding, as the mobile app does. Returns the owner's token. */
async function onboard(core) {
  const client_id = `${core.url}/`;
  const { auth_code } = await post(`${core.url}/api/onboarding/users`, {
    client_id,
    name: "Anna",
    username: "anna",
    password: "anna's password",
    language: "en",
  });
  return tokenFor(core, auth_code);
}

async function tokenFor(core, code) {
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    client_id: `${core.url}/`,
    code,
  });
  return (await post(`${core.url}/auth/token`, form)).access_token;
}

/** Creates a user of Core. Returns `{id, username, name, token}`. */
export async function makeUser(core, name, group) {
  const username = name.toLowerCase();
  const password = `${name}'s password`;
  const { user } = await core.session.command("config/auth/create", { name, group_ids: [group] });
  await core.session.command("config/auth_provider/homeassistant/create", {
    user_id: user.id,
    username,
    password,
  });
  const client_id = `${core.url}/`;
  const flow = await post(`${core.url}/auth/login_flow`, {
    client_id,
    handler: ["homeassistant", null],
    redirect_uri: client_id,
  });
  const { result } = await post(`${core.url}/auth/login_flow/${flow.flow_id}`, {
    client_id,
    username,
    password,
  });
  return { id: user.id, username, name, token: await tokenFor(core, result) };
}

/** Opens an authenticated session of Core's WebSocket API, directly or through a proxy. */
export async function openSession(url, token) {
  const socket = new WebSocket(url);
  const waiting = new Map();
  const listeners = new Map();
  let last = 0;
  let isOver = false;
  const end = new Promise((resolve) => {
    socket.once("close", () => {
      isOver = true;
      for (const { reject } of waiting.values()) reject(new Error("Core's WebSocket closed"));
      resolve();
    });
  });
  const hello = await new Promise((resolve, reject) => {
    socket.once("error", reject);
    end.then(() => reject(new Error("closed before auth_ok")));
    socket.on("message", (text) => {
      for (const message of [JSON.parse(text)].flat()) {
        if (message.type === "auth_required") {
          socket.send(JSON.stringify({ type: "auth", access_token: token }));
        } else if (message.type === "auth_ok") resolve(message);
        else if (message.type === "auth_invalid") reject(new Error(message.message));
        else if (message.type === "event") listeners.get(message.id)?.(message.event);
        else if (message.type === "result") {
          const { resolve, reject } = waiting.get(message.id) ?? {};
          waiting.delete(message.id);
          if (message.success) resolve?.(message.result);
          else reject?.(Object.assign(new Error(message.error.message), message.error));
        }
      }
    });
  });
  socket.on("error", () => {});
  const send = (type, fields, onEvent) => {
    const id = ++last;
    if (onEvent) listeners.set(id, onEvent);
    return new Promise((resolve, reject) => {
      if (isOver) return reject(new Error("Core's WebSocket is closed"));
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, type, ...fields }));
    });
  };
  return {
    version: hello.ha_version,
    end,
    command: (type, fields = {}) => send(type, fields),
    subscribe: (type, fields, onEvent) => send(type, fields, onEvent),
    close: () => socket.terminate(),
  };
}

/** The path of one of Core's storage files, which a restored backup would replace. */
export function storage(core, name) {
  return path.join(core.folder, ".storage", name);
}

