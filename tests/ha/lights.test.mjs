// Entity states of a real Home Assistant, and service calls by tablets (docs/protocol.md#entities).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { pair } from "../e2e/support.mjs";
import { eventually } from "./core.mjs";
import { connectTablet, startApp, startHome, waitForMirroredArea } from "./home.mjs";
import { assignEntity, callInCore, coreState, createCoreArea } from "./registries.mjs";

const LIGHT = "light.bed_light";
const OTHER = "light.ceiling_lights";
const LOCK = "lock.vault";
const CLIMATE = "climate.heatpump";
const GARAGE = "cover.garage_door";

// The locks of the demo integration are not in the entity registry, so they have no area. A lock group has one.
const VAULT = `
lock:
  - platform: group
    name: Vault
    unique_id: vault
    entities: [lock.front_door]
`;

let home, studio, den;
before(async () => {
  home = await startHome(VAULT);
  studio = await createCoreArea(home, "Studio");
  den = await createCoreArea(home, "Den");
  for (const entity of [LIGHT, CLIMATE, GARAGE]) await assignEntity(home, entity, studio);
  await assignEntity(home, OTHER, den);
});
after(() => home?.close());

const isState = (entityId, state) => ({ type, data }) =>
  type === "entity_state_changed" && data.entity_id === entityId && data.new_state === state;
const about = (entityId) => ({ data }) =>
  data?.entity_id === entityId || data?.states?.some((state) => state.entityId === entityId);

/** Starts a daemon with a tablet in the studio and one in the den, and waits for their first states. */
async function tablets(t) {
  await callInCore(home, "light", "turn_off", LIGHT);
  await callInCore(home, "light", "turn_off", OTHER);
  const daemon = await startApp(t, home);
  await waitForMirroredArea(daemon, studio, [LIGHT, CLIMATE, GARAGE]);
  await waitForMirroredArea(daemon, den, [OTHER]);
  const one = async (name, area, entity) => {
    const { id, token } = await pair(daemon, name, [area]);
    const tablet = await connectTablet(t, daemon, token);
    await tablet.waitFor(`${name}'s states`, about(entity));
    return Object.assign(tablet, { id, token, as: daemon.as(token) });
  };
  return {
    daemon,
    inStudio: await one("Studio wall", studio, LIGHT),
    inDen: await one("Den wall", den, OTHER),
  };
}

test("a light state reaches only the tablets of its area", async (t) => {
  const { daemon, inStudio, inDen } = await tablets(t);
  const alsoInStudio = await connectTablet(t, daemon, (await pair(daemon, "Door", [studio, den])).token);
  await alsoInStudio.waitFor("states", about(LIGHT));
  const started = performance.now();
  const done = callInCore(home, "light", "turn_on", LIGHT, { brightness: 77 });
  const [event] = await Promise.all([
    inStudio.waitFor("the light", isState(LIGHT, "on")),
    alsoInStudio.waitFor("the light", isState(LIGHT, "on")),
    done,
  ]);
  t.diagnostic(`a light state arrived after ${Math.round(event.at - started)} ms`);
  assert.equal(event.data.old_state, "off");
  assert.equal(event.data.attributes.brightness, 77);
  assert.deepEqual(event.data.areaIds, [studio]);
  assert.equal(event.id, undefined);

  await callInCore(home, "light", "turn_on", OTHER);
  await inDen.waitFor("its own light", isState(OTHER, "on"));
  await inDen.settle();
  assert.deepEqual(inDen.received.filter(about(LIGHT)), []);
  await alsoInStudio.waitFor("the den's light", isState(OTHER, "on"));
  await inStudio.settle();
  assert.deepEqual(inStudio.received.filter(about(OTHER)), []);

  const states = (await inStudio.as("GET", "/api/entities")).body.states;
  const light = states.find(({ entityId }) => entityId === LIGHT);
  assert.deepEqual([light.state, light.attributes.brightness, light.areaIds], ["on", 77, [studio]]);
  assert.ok(Date.parse(light.lastChanged));
  assert.ok(!states.some(({ entityId }) => entityId === OTHER));
});

test("ten quick changes arrive in order and include the last", async (t) => {
  const { inStudio } = await tablets(t);
  for (let turn = 1; turn <= 10; turn++) {
    await callInCore(home, "light", "turn_on", LIGHT, { brightness: turn * 20 });
  }
  const bright = ({ data }) => data?.attributes?.brightness;
  await inStudio.waitFor("the last one", (message) => bright(message) === 200);
  const seen = inStudio.received.filter(isState(LIGHT, "on")).map(bright);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
});

test("a tablet can switch a light of its area over HTTP and its socket", async (t) => {
  const { inStudio } = await tablets(t);
  const data = { brightness: 120 };
  const call = { service: "turn_on", data };
  const answer = await inStudio.as("POST", `/api/entities/${LIGHT}/call`, call);
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await coreState(home, LIGHT)).attributes.brightness, 120);
  await inStudio.waitFor("the light", isState(LIGHT, "on"));
  const off = await inStudio.ask("call_service", { entityId: LIGHT, service: "light.turn_off" });
  assert.equal(off.success, true, JSON.stringify(off));
  assert.equal((await coreState(home, LIGHT)).state, "off");
  await inStudio.waitFor("the light off", isState(LIGHT, "off"));
});

test("a tablet cannot call other entities, forbidden services or other targets", async (t) => {
  const { daemon, inStudio } = await tablets(t);
  await assignEntity(home, LOCK, studio);
  t.after(() => assignEntity(home, LOCK, null));
  await waitForMirroredArea(daemon, studio, [LOCK]);
  const call = async (entity, service, data) => {
    const answer = await inStudio.as("POST", `/api/entities/${entity}/call`, { service, data });
    const message = await inStudio.ask("call_service", { entityId: entity, service, data });
    assert.equal(message.success, answer.status === 200, JSON.stringify(message));
    return answer.status;
  };
  assert.equal(await call(OTHER, "turn_on"), 403);
  assert.equal(await call("light.no_such_light", "turn_on"), 403);
  assert.equal(await call(LOCK, "unlock"), 403);
  assert.equal(await call(LOCK, "lock"), 200);
  assert.equal(await call(GARAGE, "open_cover"), 403);
  assert.equal(await call(LIGHT, "homeassistant.restart"), 403);
  assert.equal(await call(LIGHT, "switch.turn_on"), 422);
  for (const target of ["entity_id", "area_id", "device_id", "floor_id", "label_id", "group_members"]) {
    assert.equal(await call(LIGHT, "turn_on", { [target]: [OTHER] }), 422, target);
    assert.equal(await call(LIGHT, "turn_on", { [target]: "all" }), 422, target);
  }
  assert.equal((await coreState(home, OTHER)).state, "off");
  assert.equal((await coreState(home, LIGHT)).state, "off");
  assert.equal((await coreState(home, GARAGE)).state, "closed");
});

test("an error of Home Assistant is passed on unchanged", async (t) => {
  const { inStudio } = await tablets(t);
  const message = await rejectionMessage(
    callInCore(home, "climate", "set_temperature", CLIMATE, { temperature: 99 }),
  );
  const answer = await inStudio.as("POST", `/api/entities/${CLIMATE}/call`, {
    service: "set_temperature",
    data: { temperature: 99 },
  });
  assert.equal(answer.status, 502, answer.text);
  assert.equal(answer.body.error, message);
});

async function rejectionMessage(promise) {
  let message;
  await assert.rejects(promise, (error) => Boolean((message = error.message)));
  return message;
}

test("entities of a disabled area send no states and accept no calls", async (t) => {
  const { daemon, inStudio } = await tablets(t);
  const turn = () => inStudio.as("POST", `/api/entities/${LIGHT}/call`, { service: "turn_on" });
  await daemon.admin("PATCH", `/api/areas/${studio}/toggle`, { isEnabled: false });
  await inStudio.waitFor("the disabled area", ({ type }) => type === "area_disabled");
  const from = inStudio.received.length;
  assert.equal((await turn()).status, 403);
  await callInCore(home, "light", "turn_on", LIGHT, { brightness: 33 });
  // Once the other light's state has arrived, the disabled area's state would have arrived too.
  await callInCore(home, "light", "turn_on", OTHER);
  await eventually("the den's light", async () => {
    const { body } = await daemon.admin("GET", "/api/entities");
    return body.states.some(({ entityId, state }) => entityId === OTHER && state === "on");
  });
  await inStudio.settle();
  assert.deepEqual(inStudio.received.slice(from).filter(about(LIGHT)), []);
  assert.deepEqual((await inStudio.as("GET", "/api/entities")).body.states, []);

  await daemon.admin("PATCH", `/api/areas/${studio}/toggle`, { isEnabled: true });
  await inStudio.waitFor("the newest state", about(LIGHT), from);
  const { states } = await inStudio.ask("get_states");
  const light = states.find(({ entityId }) => entityId === LIGHT);
  assert.equal(light.attributes.brightness, 33);
  assert.equal((await turn()).status, 200);
});

test("an entity that moves into an area sends its state until it leaves again", async (t) => {
  const { daemon, inDen } = await tablets(t);
  t.after(() => assignEntity(home, LIGHT, studio));
  await callInCore(home, "light", "turn_on", LIGHT, { brightness: 61 });
  await assignEntity(home, LIGHT, den);
  await inDen.waitFor("the added light", about(LIGHT));
  await eventually("the den's states", async () => {
    const { states } = await inDen.ask("get_states");
    return states.some((state) => state.entityId === LIGHT && state.attributes.brightness === 61);
  });
  await assignEntity(home, LIGHT, studio);
  await eventually("the light's removal", async () => {
    const { states } = await inDen.ask("get_states");
    return !states.some((state) => state.entityId === LIGHT);
  });
  await waitForMirroredArea(daemon, studio, [LIGHT]);
  const from = inDen.received.length;
  await callInCore(home, "light", "turn_off", LIGHT);
  await callInCore(home, "light", "turn_on", OTHER);
  await inDen.waitFor("its own light", isState(OTHER, "on"), from);
  assert.deepEqual(inDen.received.slice(from).filter(about(LIGHT)), []);
});

test("a lock of a mirrored area is a locker of its kiosk", async (t) => {
  const { daemon } = await tablets(t);
  await assignEntity(home, LOCK, studio);
  t.after(() => assignEntity(home, LOCK, null));
  const locker = await eventually("the locker", async () => {
    const { status, body } = await daemon.admin("GET", `/api/lockers/${LOCK}`);
    return status === 200 && body;
  });
  assert.equal(locker.kioskId, studio);
  const before = locker.state;
  const [service, after] = before === "locked" ? ["unlock", "unlocked"] : ["lock", "locked"];
  const admin = await connectTablet(t, daemon, daemon.adminToken);
  await callInCore(home, "lock", service, LOCK);
  const event = await admin.waitFor(
    "the locker's new state",
    ({ type, data }) => type === "locker_state_changed" && data.newState === after,
  );
  assert.deepEqual([event.data.lockerId, event.data.kioskId], [LOCK, studio]);
});
