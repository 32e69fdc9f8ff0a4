// Outages of Home Assistant and restarts of Wallcast: which events follow, and what keeps working meanwhile
// (docs/protocol.md#home-assistant).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { BINARY, createArea, pair } from "../e2e/support.mjs";
import { eventually, storage } from "./core.mjs";
import { connectTablet, startApp, startHome, waitForHomeAssistant, waitForMirroredArea } from "./home.mjs";
import { assignEntity, callInCore, createCoreArea } from "./registries.mjs";

const LIGHT = "light.bed_light";

let home;
before(async () => (home = await startHome()));
after(() => home?.close());

const isBoardStatus = (status) => ({ type, data }) =>
  type === "service-update" && data.data.id === "homeassistant" && data.data.status === status;
const isAreaEvent = (type, areaId) => (message) => message.type === type && message.data.areaId === areaId;
const stateOf = (entityId, state) => ({ type, data }) =>
  (type === "entity_state_changed" && data.entity_id === entityId && data.new_state === state) ||
  (type === "entity_states" &&
    data.states.some((one) => one.entityId === entityId && one.state === state));

function waitForBoardStatus(daemon, status) {
  return eventually(`the board to show ${status}`, async () => {
    const { body } = await daemon.admin("GET", "/api/status");
    return body.services.find(({ id }) => id === "homeassistant")?.status === status;
  });
}

/** The durable events after the id `after`, without those of the status board. */
async function since(daemon, after) {
  const { body } = await daemon.admin("GET", `/api/events?after=${after}`);
  return body.events.filter(({ type }) => type !== "service-update" && type !== "status-update");
}

async function lastEventId(daemon) {
  return (await daemon.admin("GET", "/api/events?limit=1")).body.lastEventId;
}

/** Starts a daemon with a tablet that is assigned `areaIds`, and connects the tablet and an admin. */
async function setUp(t, areaIds, entityIds = []) {
  const daemon = await startApp(t, home);
  for (const areaId of areaIds) await waitForMirroredArea(daemon, areaId);
  if (entityIds.length > 0) await waitForMirroredArea(daemon, areaIds[0], entityIds);
  const wall = await pair(daemon, "Wall", areaIds);
  const tablet = await connectTablet(t, daemon, wall.token);
  const admin = await connectTablet(t, daemon, daemon.adminToken);
  return { daemon, wall, tablet, admin };
}

/** Asserts that local areas and help requests work without Home Assistant, and that service calls fail with 503. */
async function assertOtherFeaturesWork(daemon, wall, tablet, admin) {
  const name = `Local ${Date.now()}`;
  const area = await createArea(daemon, name);
  const from = tablet.received.length;
  assert.equal((await daemon.admin("POST", `/api/clients/${wall.id}/areas/${area}`)).status, 200);
  await tablet.waitFor("a local area", isAreaEvent("area_added", area), from);
  assert.equal((await daemon.admin("DELETE", `/api/areas/${area}`)).status, 204);
  await tablet.waitFor("its removal", isAreaEvent("area_removed", area), from);
  const help = await daemon.as(wall.token)("POST", "/api/help", { category: "access_issue" });
  assert.equal(help.status, 201, help.text);
  await admin.waitFor("help", ({ type, data }) => type === "help_requested" && data.id === help.body.id);
  await daemon.as()("GET", "/health").then(({ status }) => assert.equal(status, 200));
  const call = { service: "turn_on" };
  const refused = await daemon.as(wall.token)("POST", `/api/entities/${LIGHT}/call`, call);
  assert.equal(refused.status, 503, refused.text);
  assert.ok(Number(refused.headers["retry-after"]) > 0);
}

test("a restart of Core shows on the board and publishes only what changed", async (t) => {
  const lounge = await createCoreArea(home, "Lounge");
  const pantry = await createCoreArea(home, "Pantry");
  const quiet = await createCoreArea(home, "Quiet room");
  await assignEntity(home, LIGHT, lounge);
  await callInCore(home, "light", "turn_off", LIGHT);
  const { daemon, wall, tablet, admin } = await setUp(t, [lounge, pantry, quiet], [LIGHT]);
  await waitForHomeAssistant(daemon, "connected");
  await waitForBoardStatus(daemon, "operational");
  await tablet.waitFor("the light", stateOf(LIGHT, "off"));

  let from = admin.received.length;
  t.after(() => home.core.isUp() || home.core.start());
  await home.core.stop("SIGTERM");
  await admin.waitFor("the outage", isBoardStatus("major_outage"), from);
  await waitForBoardStatus(daemon, "major_outage");
  await assertOtherFeaturesWork(daemon, wall, tablet, admin);

  // Edit the registry as if a backup of Home Assistant was restored.
  const file = storage(home.core, "core.area_registry");
  const registry = JSON.parse(await readFile(file, "utf8"));
  const inFile = (id) => registry.data.areas.find((area) => area.id === id);
  inFile(lounge).name = "Salon";
  registry.data.areas = registry.data.areas.filter(({ id }) => id !== pantry);
  registry.data.areas.push({ ...inFile(lounge), id: "veranda", name: "Veranda" });
  await writeFile(file, JSON.stringify(registry));

  [from, tablet.from] = [admin.received.length, tablet.received.length];
  const position = await lastEventId(daemon);
  const took = await home.core.start();
  await admin.waitFor("its return", isBoardStatus("operational"), from);
  t.diagnostic(`Core was back after ${took} ms`);
  const renamed = await tablet.waitFor("the new name", isAreaEvent("area_updated", lounge), tablet.from);
  assert.equal(renamed.data.name, "Salon");
  const gone = await tablet.waitFor("the area's removal", isAreaEvent("area_removed", pantry), tablet.from);
  assert.equal(gone.data.reason, "deleted");
  assert.equal((await waitForMirroredArea(daemon, "veranda")).name, "Veranda");
  await tablet.waitFor("the light", stateOf(LIGHT, "off"), tablet.from);
  await callInCore(home, "light", "turn_on", LIGHT);
  await tablet.waitFor("the light", stateOf(LIGHT, "on"), tablet.from);
  const about = (await since(daemon, position)).filter(({ data }) => data.areaId !== undefined);
  assert.deepEqual(
    about.map(({ type, data }) => [type, data.areaId]).sort(),
    [["area_removed", pantry], ["area_updated", lounge]],
    "no events for what did not change",
  );
});

test("a killed Core shows on the board and causes no events for unchanged areas", async (t) => {
  const parlor = await createCoreArea(home, "Parlor");
  await assignEntity(home, LIGHT, parlor);
  // Core writes its registries to disk after some seconds. A kill before that would lose the area.
  await eventually("Core's registries on disk", async () => {
    const files = ["core.area_registry", "core.entity_registry"].map((name) => storage(home.core, name));
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
    return texts.every((text) => text.includes(`"${parlor}"`));
  });
  const { daemon, wall, tablet, admin } = await setUp(t, [parlor], [LIGHT]);
  let from = admin.received.length;
  t.after(() => home.core.isUp() || home.core.start());
  await home.core.stop("SIGKILL");
  await admin.waitFor("the outage", isBoardStatus("major_outage"), from);
  await assertOtherFeaturesWork(daemon, wall, tablet, admin);
  const position = await lastEventId(daemon);
  from = admin.received.length;
  const beforeReturn = tablet.received.length;
  await home.core.start();
  await admin.waitFor("its return", isBoardStatus("operational"), from);
  await tablet.waitFor("the light", ({ data }) => JSON.stringify(data).includes(LIGHT), beforeReturn);
  await callInCore(home, "light", "turn_on", LIGHT);
  await tablet.waitFor("the light", stateOf(LIGHT, "on"), beforeReturn);
  assert.deepEqual(await since(daemon, position), []);
});

test("a Supervisor that cannot reach Core is an outage and publishes one event per change afterwards", async (t) => {
  t.after(() => home.reconnectCore());
  const nook = await createCoreArea(home, "Nook");
  await assignEntity(home, LIGHT, nook);
  const { daemon, tablet, admin } = await setUp(t, [nook], [LIGHT]);
  const from = admin.received.length;
  await home.disconnectCore();
  await admin.waitFor("the outage", isBoardStatus("major_outage"), from);
  const position = await lastEventId(daemon);
  await home.command("config/area_registry/update", { area_id: nook, name: "Corner" });
  await home.command("config/area_registry/update", { area_id: nook, name: "Niche" });
  await home.reconnectCore();
  await tablet.waitFor("the newest name", isAreaEvent("area_updated", nook));
  await admin.waitFor("its return", isBoardStatus("operational"), from);
  const events = await since(daemon, position);
  assert.deepEqual(events.map(({ type, data }) => [type, data.name]), [["area_updated", "Niche"]]);
});

test("a start during an outage uses the stored areas and updates them later", async (t) => {
  t.after(() => home.reconnectCore());
  const [keep, lose] = [await createCoreArea(home, "Keep"), await createCoreArea(home, "Lose")];
  const { daemon, wall } = await setUp(t, [keep, lose]);
  await daemon.admin("PATCH", `/api/areas/${keep}/toggle`, { isEnabled: false });
  await home.disconnectCore();
  await daemon.restart("SIGKILL");
  await waitForHomeAssistant(daemon, "disconnected");
  await waitForBoardStatus(daemon, "major_outage");
  const tablet = await connectTablet(t, daemon, wall.token);
  const [{ assignedAreas }] = tablet.of("connection");
  assert.deepEqual(
    assignedAreas.map(({ id, isEnabled, source }) => [id, isEnabled, source]).sort(),
    [[keep, false, "homeassistant"], [lose, true, "homeassistant"]],
  );
  await home.command("config/area_registry/delete", { area_id: lose });
  await home.command("config/area_registry/update", { area_id: keep, name: "Kept" });
  await home.reconnectCore();
  const gone = await tablet.waitFor("the area's removal", isAreaEvent("area_removed", lose));
  assert.equal(gone.data.reason, "deleted");
  const renamed = await tablet.waitFor("the new name", isAreaEvent("area_updated", keep));
  assert.deepEqual([renamed.data.name, renamed.data.isEnabled], ["Kept", false]);
  const { body } = await daemon.admin("GET", `/api/clients/${wall.id}`);
  assert.deepEqual(body.assignedAreas.map((area) => area.id ?? area), [keep]);
});

test("a tablet that was offline during a rename receives it once", async (t) => {
  const nest = await createCoreArea(home, "Nest");
  const daemon = await startApp(t, home);
  await waitForMirroredArea(daemon, nest);
  const wall = await pair(daemon, "Wall", [nest]);
  const tablet = await connectTablet(t, daemon, wall.token);
  const [{ epoch, lastEventId }] = tablet.of("connection");
  tablet.socket.terminate();
  await home.command("config/area_registry/update", { area_id: nest, name: "Eyrie" });
  await eventually("the new name", async () => (await waitForMirroredArea(daemon, nest)).name === "Eyrie");
  await daemon.restart("SIGTERM");
  const awake = await connectTablet(t, daemon, wall.token, `?since=${lastEventId}&epoch=${epoch}`);
  await awake.waitFor("the new name", isAreaEvent("area_updated", nest));
  await awake.settle();
  assert.equal(awake.of("area_updated").length, 1);
});

test("a restored backup updates its areas from Home Assistant", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "wallcast-ha-backup-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [stay, go] = [await createCoreArea(home, "Stay"), await createCoreArea(home, "Go")];
  const { daemon, wall } = await setUp(t, [stay, go]);
  await daemon.admin("PATCH", `/api/areas/${stay}/toggle`, { isEnabled: false });
  const env = { PATH: process.env.PATH, WALLCAST_DATA_DIR: daemon.folder };
  const wallcast = (...args) => promisify(execFile)(BINARY, args, { env });
  const file = path.join(folder, "test.backup");
  await wallcast("backup", file);
  await home.command("config/area_registry/delete", { area_id: go });
  await home.command("config/area_registry/update", { area_id: stay, name: "Stayed" });
  const came = await createCoreArea(home, "Came");
  await waitForMirroredArea(daemon, came);
  await daemon.restart("SIGTERM", () => wallcast("restore", file));
  await waitForMirroredArea(daemon, came);
  await eventually("the current areas", async () => {
    const { body } = await daemon.admin("GET", `/api/clients/${wall.id}`);
    return body.assignedAreas.length === 1;
  });
  const { body } = await daemon.admin("GET", `/api/areas/${stay}`);
  assert.deepEqual([body.name, body.isEnabled, body.clientIds], ["Stayed", false, [wall.id]]);
  assert.equal((await daemon.admin("GET", `/api/areas/${go}`)).status, 404);
});
