// `make demo`: a daemon with a simulated home, two simulated tablets, and an admin's page that needs no sign-in.
// Arguments are passed on to the daemon: `node tests/demo/demo.mjs --log-level debug`. Ctrl-C stops everything.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { startHomeAssistant } from "../e2e/home-assistant.mjs";
import { startIngress } from "../e2e/ingress.mjs";
import { BINARY } from "../e2e/support.mjs";

const { WebSocket } = createRequire(new URL("../e2e/package.json", import.meta.url))("ws");

process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
const FOLDER = "target/demo-data";
const DAY_SECONDS = 86_400;

const ends = [];
const t = { after: (end) => ends.push(end) };
let isStopping = false;

/** Stops what was started, the newest first, and exits. */
async function stop(code) {
  if (isStopping) return;
  isStopping = true;
  for (const end of ends.reverse()) await end();
  process.exit(code);
}

/** Starts the daemon on its usual port with an empty data folder. Returns its ports. */
async function startDaemon(options) {
  await rm(FOLDER, { recursive: true, force: true });
  // The daemon refuses variables with its prefix that it does not know.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("WALLCAST_"));
  const child = spawn(BINARY, ["serve", "--data-dir", FOLDER, ...process.argv.slice(2)], {
    env: { ...Object.fromEntries(inherited), ...options },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  exited.then(([code]) => stop(code ?? 1));
  t.after(async () => {
    child.kill("SIGTERM");
    await exited;
  });
  const lines = createInterface({ input: child.stdout });
  const [ready] = await once(lines, "line");
  const portOf = (listener) => Number(new RegExp(`${listener}=\\S*?:(\\d+)(?:[ ,]|$)`).exec(ready)[1]);
  return { port: portOf("https"), ingressPort: portOf("ingress") };
}

/** Sends a request as an admin over the daemon's Unix socket. Returns the body of the answer. */
async function admin(method, path, body) {
  const headers = { host: "localhost", "content-type": "application/json" };
  const request = http.request({ socketPath: `${FOLDER}/wallcast.sock`, method, path, headers });
  request.end(body && JSON.stringify(body));
  const [response] = await once(request, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
  return path === "/ca.crt" ? text : JSON.parse(text);
}

/** Waits until the areas of the home have been mirrored. Returns them by name. */
async function mirroredAreas(count) {
  for (;;) {
    const { areas } = await admin("GET", "/api/areas");
    const found = areas.filter((area) => area.source === "homeassistant" && area.entityIds.length);
    if (found.length === count) return Object.fromEntries(found.map((area) => [area.name, area.id]));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Pairs a tablet and keeps it connected. It acknowledges each event and reports success for each command. */
async function startTablet(port, ca, name, areaIds) {
  const { code } = await admin("POST", "/api/pairing/codes", { name, areaIds });
  const { token, clientId } = await admin("POST", "/api/pairing/complete", { code, platform: "simulated" });
  const connect = () => {
    const headers = { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`wss://localhost:${port}/ws`, { ca, headers });
    const send = (type, data) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, data }));
    socket.on("message", (frame) => {
      const { type, id, data } = JSON.parse(frame);
      if (id) send("ack", { id });
      if (type === "command") {
        send("command_result", { commandId: data.commandId, success: true, message: "Done by a simulated tablet" });
      }
    });
    socket.on("error", () => {});
    socket.on("close", (closeCode) => {
      // Codes from 4400 on are final: the tablet was revoked.
      if (!isStopping && closeCode < 4400) setTimeout(connect, 2000).unref();
    });
    return socket;
  };
  await once(connect(), "open");
  return clientId;
}

/** Lets sensors of the home change, so that the pages have something to show. */
function simulate(home) {
  let step = 0;
  const timer = setInterval(() => {
    step += 1;
    home.set("sensor.living_temperature", (20.8 + Math.sin(step / 5)).toFixed(1));
    if (step % 3 === 0) home.set("binary_sensor.hall_motion", step % 2 ? "on" : "off");
    if (step % 10 === 0) home.set("switch.kitchen_coffee", home.stateOf("switch.kitchen_coffee") === "on" ? "off" : "on");
  }, 3000);
  t.after(() => clearInterval(timer));
}

async function main() {
  const home = await startHomeAssistant(t);
  const daemon = await startDaemon({
    ...home.options,
    WALLCAST_INGRESS_LISTEN: "127.0.0.1:0",
    WALLCAST_INGRESS_FROM: "127.0.0.1",
    WALLCAST_INGRESS_VERIFY_ADMIN: "false",
  });
  const ingress = await startIngress(t, daemon);
  const ca = await admin("GET", "/ca.crt");
  const areas = await mirroredAreas(Object.keys(home.areas).length);

  const hall = await startTablet(daemon.port, ca, "Hall tablet", [areas.Hall]);
  await startTablet(daemon.port, ca, "Kitchen tablet", [areas.Kitchen, areas["Living Room"]]);
  await admin("POST", "/api/messages", { to: { clientId: hall }, body: "Dinner is ready" });
  await admin("POST", "/api/services", { name: "Heating" });
  await admin("POST", "/api/commands", { clientId: hall, type: "identify" });
  simulate(home);

  const { token } = await admin("POST", "/api/tokens", { role: "admin", name: "demo" });
  const { code } = await admin("POST", "/api/pairing/codes", {
    name: "My tablet", areaIds: Object.values(areas), ttlSeconds: DAY_SECONDS,
  });
  console.log(`
Admin page, signed in    ${ingress.url}
Tablet page, pairs once  https://localhost:${daemon.port}/pair#${code}

The tablet page asks you to accept the certificate that Wallcast made. Later open it as https://localhost:${daemon.port}/.
For the API, and for https://127.0.0.1:${daemon.port}/admin/, this is an admin's token:
${token}
Ctrl-C stops the demo. The next one starts afresh.
`);
}

process.on("SIGINT", () => stop(0));
process.on("SIGTERM", () => stop(0));
main().catch((error) => {
  if (!isStopping) console.error(error);
  stop(1);
});
