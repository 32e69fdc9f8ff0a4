// What Wallcast tells Home Assistant's bus, and what comes from it by standard input (contract 7).

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { pair, within } from "../e2e/support.mjs";
import { enter, eventually } from "./core.mjs";
import { homeIs, startApp, startHouse, tabletOn } from "./house.mjs";

let house;
before(async () => (house = await startHouse()));
after(() => house?.close());

/** Hears what is fired on Core's bus, as an automation does. */
async function listenOnBus(t) {
  const door = await enter(`${house.core.url}/api/websocket`, house.core.owner);
  t.after(() => door.close());
  const fired = [];
  await door.subscribe("subscribe_events", {}, (event) => {
    if (event.event_type.startsWith("wallcast_")) fired.push(event);
  });
  return (type, fits = () => true) =>
    within(type, eventually(type, () => fired.find((one) => one.event_type === type && fits(one.data))));
}

test("what happens in Wallcast is fired on Home Assistant's bus", async (t) => {
  const daemon = await startApp(t, house);
  await homeIs(daemon, "connected");
  const heard = await listenOnBus(t);
  const wall = await pair(daemon, "Kitchen wall", []);
  const isWall = (data) => data.client_id === wall.id;
  const paired = await heard("wallcast_client_paired", isWall);
  assert.equal(paired.data.client_name, "Kitchen wall");
  assert.ok(!JSON.stringify(paired).includes(wall.token));

  const tablet = await tabletOn(t, daemon, wall.token);
  await heard("wallcast_client_online", isWall);
  const help = await daemon.as(wall.token)("POST", "/api/help", { category: "access_issue" });
  await heard("wallcast_help_requested", (data) => data.help_id === help.body.id);
  const command = await daemon.admin("POST", "/api/commands", { type: "refresh", clientId: wall.id });
  await tablet.heard("the command", ({ type }) => type === "command");
  await tablet.ask("command_result", { commandId: command.body.id, success: true });
  const applied = await heard(
    "wallcast_command_applied",
    (data) => data.command_id === command.body.id,
  );
  assert.equal(applied.data.success, true);
  tablet.socket.close();
  await heard("wallcast_client_offline", isWall);
});

test("what happens while Home Assistant is away is fired when it is back", async (t) => {
  t.after(() => house.findCore());
  const daemon = await startApp(t, house);
  await homeIs(daemon, "connected");
  const heard = await listenOnBus(t);
  await house.loseCore();
  await homeIs(daemon, "disconnected");
  const wall = await pair(daemon, "Late wall", []);
  await house.findCore();
  await heard("wallcast_client_paired", (data) => data.client_id === wall.id);
});

test("hassio.addon_stdin broadcasts, writes messages and gives commands", async (t) => {
  const daemon = await startApp(t, house);
  const wall = await pair(daemon, "Wall", []);
  const tablet = await tabletOn(t, daemon, wall.token);
  const told = (kind, fits) => tablet.heard(kind, ({ type, data }) => type === kind && fits(data));
  daemon.type("this is no JSON");
  daemon.type('{"action":"explode"}');
  daemon.type('{"action":"broadcast","type":"Not A Type","data":{}}');
  daemon.type('{"action":"broadcast","type":"doorbell","data":{"door":"front"}}');
  await told("doorbell", (data) => data.door === "front");
  const message = { to: { clientId: wall.id }, body: "Dinner is ready" };
  daemon.type(JSON.stringify({ action: "message", ...message }));
  await told("new_message", (data) => JSON.stringify(data).includes("Dinner is ready"));
  daemon.type(JSON.stringify({ action: "command", type: "refresh", client_id: wall.id }));
  await told("command", (data) => data.type === "refresh");
  const { body } = await daemon.admin("GET", "/api/audit?limit=20");
  assert.ok(JSON.stringify(body).includes("homeassistant"), "the audit names who it was");
});

test("Supervisor's token is in no file and in no line of the log", async (t) => {
  const daemon = await startApp(t, house, { WALLCAST_LOG_LEVEL: "trace" });
  await homeIs(daemon, "connected");
  await pair(daemon, "Wall", []);
  await house.loseCore();
  t.after(() => house.findCore());
  await homeIs(daemon, "disconnected");
  await house.findCore();
  await homeIs(daemon, "connected");
  daemon.child.kill("SIGTERM");
  assert.equal(await daemon.exited, 0);
  assert.ok(daemon.log.length > 0);
  assert.ok(!daemon.log.includes(house.token));
  const files = await readdir(daemon.folder, { recursive: true, withFileTypes: true });
  const contents = files
    .filter((file) => file.isFile())
    .map((file) => readFile(path.join(file.parentPath ?? file.path, file.name)));
  assert.ok(contents.length > 0);
  for (const bytes of await Promise.all(contents)) assert.ok(!bytes.includes(house.token));
});

test("a token that Supervisor does not take is an outage that goes on being tried", async (t) => {
  const daemon = await startApp(t, house, { SUPERVISOR_TOKEN: "outdated" });
  await homeIs(daemon, "disconnected");
  assert.equal((await daemon.as()("GET", "/health")).status, 200);
  const { body } = await daemon.admin("GET", "/api/status");
  assert.equal(body.services.find(({ id }) => id === "homeassistant").status, "major_outage");
});
