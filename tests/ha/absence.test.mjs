// Home Assistant goes and comes back, and so does Wallcast: what is told then, and what still works
// meanwhile (contract 7).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { BINARY, createArea, pair } from "../e2e/support.mjs";
import { eventually, storage } from "./core.mjs";
import { homeIs, mirrored, startApp, startHouse, tabletOn } from "./house.mjs";
import { callInCore, makeArea, putEntity } from "./rooms.mjs";

const LIGHT = "light.bed_light";

let house;
before(async () => (house = await startHouse()));
after(() => house?.close());

const standing = (status) => ({ type, data }) =>
  type === "service-update" && data.data.id === "homeassistant" && data.data.status === status;
const told = (type, areaId) => (message) => message.type === type && message.data.areaId === areaId;
const stateOf = (entityId, state) => ({ type, data }) =>
  (type === "entity_state_changed" && data.entity_id === entityId && data.new_state === state) ||
  (type === "entity_states" &&
    data.states.some((one) => one.entityId === entityId && one.state === state));

function boardSays(daemon, status) {
  return eventually(`the board to say ${status}`, async () => {
    const { body } = await daemon.admin("GET", "/api/status");
    return body.services.find(({ id }) => id === "homeassistant")?.status === status;
  });
}

/** The durable events since `after`, but for those of the board. */
async function since(daemon, after) {
  const { body } = await daemon.admin("GET", `/api/events?after=${after}`);
  return body.events.filter(({ type }) => type !== "service-update" && type !== "status-update");
}

async function lastEventId(daemon) {
  return (await daemon.admin("GET", "/api/events?limit=1")).body.lastEventId;
}

/** A daemon whose one tablet has `areaIds`, and an admin who listens. */
async function household(t, areaIds, entityIds = []) {
  const daemon = await startApp(t, house);
  for (const areaId of areaIds) await mirrored(daemon, areaId);
  if (entityIds.length > 0) await mirrored(daemon, areaIds[0], entityIds);
  const wall = await pair(daemon, "Wall", areaIds);
  const tablet = await tabletOn(t, daemon, wall.token);
  const admin = await tabletOn(t, daemon, daemon.adminToken);
  return { daemon, wall, tablet, admin };
}

/** What a tablet and an admin can do while there is no Home Assistant. */
async function allElseWorks(daemon, wall, tablet, admin) {
  const name = `Local ${Date.now()}`;
  const area = await createArea(daemon, name);
  const from = tablet.told.length;
  assert.equal((await daemon.admin("POST", `/api/clients/${wall.id}/areas/${area}`)).status, 200);
  await tablet.heard("a local area", told("area_added", area), from);
  assert.equal((await daemon.admin("DELETE", `/api/areas/${area}`)).status, 204);
  await tablet.heard("its end", told("area_removed", area), from);
  const help = await daemon.as(wall.token)("POST", "/api/help", { category: "access_issue" });
  assert.equal(help.status, 201, help.text);
  await admin.heard("help", ({ type, data }) => type === "help_requested" && data.id === help.body.id);
  await daemon.as()("GET", "/health").then(({ status }) => assert.equal(status, 200));
  const call = { service: "turn_on" };
  const refused = await daemon.as(wall.token)("POST", `/api/entities/${LIGHT}/call`, call);
  assert.equal(refused.status, 503, refused.text);
  assert.ok(Number(refused.headers["retry-after"]) > 0);
}

test("Core stops and starts: the board says so, all else works, and what changed meanwhile is told", async (t) => {
  const lounge = await makeArea(house, "Lounge");
  const pantry = await makeArea(house, "Pantry");
  const quiet = await makeArea(house, "Quiet room");
  await putEntity(house, LIGHT, lounge);
  await callInCore(house, "light", "turn_off", LIGHT);
  const { daemon, wall, tablet, admin } = await household(t, [lounge, pantry, quiet], [LIGHT]);
  await homeIs(daemon, "connected");
  await boardSays(daemon, "operational");
  await tablet.heard("the light", stateOf(LIGHT, "off"));

  let from = admin.told.length;
  t.after(() => house.core.isUp() || house.core.start());
  await house.core.stop("SIGTERM");
  await admin.heard("the outage", standing("major_outage"), from);
  await boardSays(daemon, "major_outage");
  await allElseWorks(daemon, wall, tablet, admin);

  // What a restored backup of Home Assistant looks like.
  const file = storage(house.core, "core.area_registry");
  const registry = JSON.parse(await readFile(file, "utf8"));
  const inFile = (id) => registry.data.areas.find((area) => area.id === id);
  inFile(lounge).name = "Salon";
  registry.data.areas = registry.data.areas.filter(({ id }) => id !== pantry);
  registry.data.areas.push({ ...inFile(lounge), id: "veranda", name: "Veranda" });
  await writeFile(file, JSON.stringify(registry));

  [from, tablet.from] = [admin.told.length, tablet.told.length];
  const position = await lastEventId(daemon);
  const took = await house.core.start();
  await admin.heard("its return", standing("operational"), from);
  t.diagnostic(`Core was back after ${took} ms`);
  const renamed = await tablet.heard("the new name", told("area_updated", lounge), tablet.from);
  assert.equal(renamed.data.name, "Salon");
  const gone = await tablet.heard("the area's end", told("area_removed", pantry), tablet.from);
  assert.equal(gone.data.reason, "deleted");
  assert.equal((await mirrored(daemon, "veranda")).name, "Veranda");
  await tablet.heard("the light", stateOf(LIGHT, "off"), tablet.from);
  await callInCore(house, "light", "turn_on", LIGHT);
  await tablet.heard("the light", stateOf(LIGHT, "on"), tablet.from);
  const about = (await since(daemon, position)).filter(({ data }) => data.areaId !== undefined);
  assert.deepEqual(
    about.map(({ type, data }) => [type, data.areaId]).sort(),
    [["area_removed", pantry], ["area_updated", lounge]],
    "what did not change is not told",
  );
});

test("Core is killed and comes back, and nothing that did not change is told", async (t) => {
  const parlor = await makeArea(house, "Parlor");
  await putEntity(house, LIGHT, parlor);
  // Core writes its registries down some seconds later; a kill before that would lose the area.
  await eventually("Core's registries on disk", async () => {
    const files = ["core.area_registry", "core.entity_registry"].map((name) => storage(house.core, name));
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
    return texts.every((text) => text.includes(`"${parlor}"`));
  });
  const { daemon, wall, tablet, admin } = await household(t, [parlor], [LIGHT]);
  let from = admin.told.length;
  t.after(() => house.core.isUp() || house.core.start());
  await house.core.stop("SIGKILL");
  await admin.heard("the outage", standing("major_outage"), from);
  await allElseWorks(daemon, wall, tablet, admin);
  const position = await lastEventId(daemon);
  from = admin.told.length;
  const beforeReturn = tablet.told.length;
  await house.core.start();
  await admin.heard("its return", standing("operational"), from);
  await tablet.heard("the light", ({ data }) => JSON.stringify(data).includes(LIGHT), beforeReturn);
  await callInCore(house, "light", "turn_on", LIGHT);
  await tablet.heard("the light", stateOf(LIGHT, "on"), beforeReturn);
  assert.deepEqual(await since(daemon, position), []);
});

test("Supervisor that cannot reach Core is an outage as well, and its end no flood", async (t) => {
  t.after(() => house.findCore());
  const nook = await makeArea(house, "Nook");
  await putEntity(house, LIGHT, nook);
  const { daemon, tablet, admin } = await household(t, [nook], [LIGHT]);
  const from = admin.told.length;
  await house.loseCore();
  await admin.heard("the outage", standing("major_outage"), from);
  const position = await lastEventId(daemon);
  await house.command("config/area_registry/update", { area_id: nook, name: "Corner" });
  await house.command("config/area_registry/update", { area_id: nook, name: "Niche" });
  await house.findCore();
  await tablet.heard("the newest name", told("area_updated", nook));
  await admin.heard("its return", standing("operational"), from);
  const events = await since(daemon, position);
  assert.deepEqual(events.map(({ type, data }) => [type, data.name]), [["area_updated", "Niche"]]);
});

test("Wallcast that starts while Home Assistant is away has its areas, and catches up later", async (t) => {
  t.after(() => house.findCore());
  const [keep, lose] = [await makeArea(house, "Keep"), await makeArea(house, "Lose")];
  const { daemon, wall } = await household(t, [keep, lose]);
  await daemon.admin("PATCH", `/api/areas/${keep}/toggle`, { isEnabled: false });
  await house.loseCore();
  await daemon.restart("SIGKILL");
  await homeIs(daemon, "disconnected");
  await boardSays(daemon, "major_outage");
  const tablet = await tabletOn(t, daemon, wall.token);
  const [{ assignedAreas }] = tablet.of("connection");
  assert.deepEqual(
    assignedAreas.map(({ id, isEnabled, source }) => [id, isEnabled, source]).sort(),
    [[keep, false, "homeassistant"], [lose, true, "homeassistant"]],
  );
  await house.command("config/area_registry/delete", { area_id: lose });
  await house.command("config/area_registry/update", { area_id: keep, name: "Kept" });
  await house.findCore();
  const gone = await tablet.heard("the area's end", told("area_removed", lose));
  assert.equal(gone.data.reason, "deleted");
  const renamed = await tablet.heard("the new name", told("area_updated", keep));
  assert.deepEqual([renamed.data.name, renamed.data.isEnabled], ["Kept", false]);
  const { body } = await daemon.admin("GET", `/api/clients/${wall.id}`);
  assert.deepEqual(body.assignedAreas.map((area) => area.id ?? area), [keep]);
});

test("a tablet that slept while its area got another name is told when it wakes", async (t) => {
  const nest = await makeArea(house, "Nest");
  const daemon = await startApp(t, house);
  await mirrored(daemon, nest);
  const wall = await pair(daemon, "Wall", [nest]);
  const tablet = await tabletOn(t, daemon, wall.token);
  const [{ epoch, lastEventId }] = tablet.of("connection");
  tablet.socket.terminate();
  await house.command("config/area_registry/update", { area_id: nest, name: "Eyrie" });
  await eventually("the new name", async () => (await mirrored(daemon, nest)).name === "Eyrie");
  await daemon.restart("SIGTERM");
  const awake = await tabletOn(t, daemon, wall.token, `?since=${lastEventId}&epoch=${epoch}`);
  await awake.heard("the new name", told("area_updated", nest));
  await awake.settle();
  assert.equal(awake.of("area_updated").length, 1);
});

test("a house restored from its backup finds its areas again, as they are now", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "wallcast-ha-backup-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [stay, go] = [await makeArea(house, "Stay"), await makeArea(house, "Go")];
  const { daemon, wall } = await household(t, [stay, go]);
  await daemon.admin("PATCH", `/api/areas/${stay}/toggle`, { isEnabled: false });
  const env = { PATH: process.env.PATH, WALLCAST_DATA_DIR: daemon.folder };
  const wallcast = (...args) => promisify(execFile)(BINARY, args, { env });
  const file = path.join(folder, "house.wallcast");
  await wallcast("backup", file);
  await house.command("config/area_registry/delete", { area_id: go });
  await house.command("config/area_registry/update", { area_id: stay, name: "Stayed" });
  const came = await makeArea(house, "Came");
  await mirrored(daemon, came);
  await daemon.restart("SIGTERM", () => wallcast("restore", file));
  await mirrored(daemon, came);
  await eventually("the house as it is now", async () => {
    const { body } = await daemon.admin("GET", `/api/clients/${wall.id}`);
    return body.assignedAreas.length === 1;
  });
  const { body } = await daemon.admin("GET", `/api/areas/${stay}`);
  assert.deepEqual([body.name, body.isEnabled, body.clientIds], ["Stayed", false, [wall.id]]);
  assert.equal((await daemon.admin("GET", `/api/areas/${go}`)).status, 404);
});
