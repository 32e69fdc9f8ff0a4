// Events that Wallcast fires on Home Assistant's event bus, and commands from it on standard input
// (docs/protocol.md#home-assistant).

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { pair, within } from "../e2e/support.mjs";
import { eventually, openSession } from "./core.mjs";
import { connectTablet, startApp, startHome, waitForHomeAssistant } from "./home.mjs";

let home;
before(async () => (home = await startHome()));
after(() => home?.close());

/** Subscribes to Core's event bus, as an automation does. Returns a function that waits for a Wallcast event. */
async function subscribeToBus(t) {
  const session = await openSession(`${home.core.url}/api/websocket`, home.core.owner);
  t.after(() => session.close());
  const fired = [];
  await session.subscribe("subscribe_events", {}, (event) => {
    if (event.event_type.startsWith("wallcast_")) fired.push(event);
  });
  return (type, matches = () => true) =>
    within(type, eventually(type, () => fired.find((one) => one.event_type === type && matches(one.data))));
}

test("events of Wallcast are fired on Home Assistant's bus", async (t) => {
  const daemon = await startApp(t, home);
  await waitForHomeAssistant(daemon, "connected");
  const waitForBusEvent = await subscribeToBus(t);
  const wall = await pair(daemon, "Kitchen wall", []);
  const isWall = (data) => data.client_id === wall.id;
  const paired = await waitForBusEvent("wallcast_client_paired", isWall);
  assert.equal(paired.data.client_name, "Kitchen wall");
  assert.ok(!JSON.stringify(paired).includes(wall.token));

  const tablet = await connectTablet(t, daemon, wall.token);
  await waitForBusEvent("wallcast_client_online", isWall);
  const help = await daemon.as(wall.token)("POST", "/api/help", { category: "access_issue" });
  await waitForBusEvent("wallcast_help_requested", (data) => data.help_id === help.body.id);
  const command = await daemon.admin("POST", "/api/commands", { type: "refresh", clientId: wall.id });
  await tablet.waitFor("the command", ({ type }) => type === "command");
  await tablet.ask("command_result", { commandId: command.body.id, success: true });
  const applied = await waitForBusEvent(
    "wallcast_command_applied",
    (data) => data.command_id === command.body.id,
  );
  assert.equal(applied.data.success, true);
  tablet.socket.close();
  await waitForBusEvent("wallcast_client_offline", isWall);
});

test("events during an outage are fired after it", async (t) => {
  t.after(() => home.reconnectCore());
  const daemon = await startApp(t, home);
  await waitForHomeAssistant(daemon, "connected");
  const waitForBusEvent = await subscribeToBus(t);
  await home.disconnectCore();
  await waitForHomeAssistant(daemon, "disconnected");
  const wall = await pair(daemon, "Late wall", []);
  await home.reconnectCore();
  await waitForBusEvent("wallcast_client_paired", (data) => data.client_id === wall.id);
});

test("hassio.addon_stdin sends broadcasts, messages and commands", async (t) => {
  const daemon = await startApp(t, home);
  const wall = await pair(daemon, "Wall", []);
  const tablet = await connectTablet(t, daemon, wall.token);
  const waitForEvent = (wanted, matches) => tablet.waitFor(wanted, ({ type, data }) => type === wanted && matches(data));
  daemon.type("this is no JSON");
  daemon.type('{"action":"explode"}');
  daemon.type('{"action":"broadcast","type":"Not A Type","data":{}}');
  daemon.type('{"action":"broadcast","type":"doorbell","data":{"door":"front"}}');
  await waitForEvent("doorbell", (data) => data.door === "front");
  const message = { to: { clientId: wall.id }, body: "Dinner is ready" };
  daemon.type(JSON.stringify({ action: "message", ...message }));
  await waitForEvent("new_message", (data) => JSON.stringify(data).includes("Dinner is ready"));
  daemon.type(JSON.stringify({ action: "command", type: "refresh", client_id: wall.id }));
  await waitForEvent("command", (data) => data.type === "refresh");
  const { body } = await daemon.admin("GET", "/api/audit?limit=20");
  assert.ok(JSON.stringify(body).includes("homeassistant"), "the audit names Home Assistant as the actor");
});

test("Supervisor's token is in no file and not in the log", async (t) => {
  const daemon = await startApp(t, home, { WALLCAST_LOG_LEVEL: "trace" });
  await waitForHomeAssistant(daemon, "connected");
  await pair(daemon, "Wall", []);
  await home.disconnectCore();
  t.after(() => home.reconnectCore());
  await waitForHomeAssistant(daemon, "disconnected");
  await home.reconnectCore();
  await waitForHomeAssistant(daemon, "connected");
  daemon.child.kill("SIGTERM");
  assert.equal(await daemon.exited, 0);
  assert.ok(daemon.log.length > 0);
  assert.ok(!daemon.log.includes(home.token));
  const files = await readdir(daemon.folder, { recursive: true, withFileTypes: true });
  const contents = files
    .filter((file) => file.isFile())
    .map((file) => readFile(path.join(file.parentPath ?? file.path, file.name)));
  assert.ok(contents.length > 0);
  for (const bytes of await Promise.all(contents)) assert.ok(!bytes.includes(home.token));
});

test("a token that Supervisor refuses is an outage", async (t) => {
  const daemon = await startApp(t, home, { SUPERVISOR_TOKEN: "outdated" });
  await waitForHomeAssistant(daemon, "disconnected");
  assert.equal((await daemon.as()("GET", "/health")).status, 200);
  const { body } = await daemon.admin("GET", "/api/status");
  assert.equal(body.services.find(({ id }) => id === "homeassistant").status, "major_outage");
});
