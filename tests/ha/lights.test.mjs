// States of a real Home Assistant's entities, and what tablets may do with them (contract 5 and 6.3).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { pair } from "../e2e/support.mjs";
import { eventually } from "./core.mjs";
import { mirrored, startApp, startHouse, tabletOn } from "./house.mjs";
import { callInCore, makeArea, putEntity, stateInCore } from "./rooms.mjs";

const LIGHT = "light.bed_light";
const OTHER = "light.ceiling_lights";
const LOCK = "lock.vault";
const CLIMATE = "climate.heatpump";
const GARAGE = "cover.garage_door";

// The demo's own locks stand in no registry, and so in no area; a group of one does.
const VAULT = `
lock:
  - platform: group
    name: Vault
    unique_id: vault
    entities: [lock.front_door]
`;

let house, studio, den;
before(async () => {
  house = await startHouse(VAULT);
  studio = await makeArea(house, "Studio");
  den = await makeArea(house, "Den");
  for (const entity of [LIGHT, CLIMATE, GARAGE]) await putEntity(house, entity, studio);
  await putEntity(house, OTHER, den);
});
after(() => house?.close());

const isState = (entityId, state) => ({ type, data }) =>
  type === "entity_state_changed" && data.entity_id === entityId && data.new_state === state;
const about = (entityId) => ({ data }) =>
  data?.entity_id === entityId || data?.states?.some((state) => state.entityId === entityId);

/** A daemon, and a tablet in the studio and one in the den, each with its first states. */
async function tablets(t) {
  await callInCore(house, "light", "turn_off", LIGHT);
  await callInCore(house, "light", "turn_off", OTHER);
  const daemon = await startApp(t, house);
  await mirrored(daemon, studio, [LIGHT, CLIMATE, GARAGE]);
  await mirrored(daemon, den, [OTHER]);
  const one = async (name, area, entity) => {
    const { id, token } = await pair(daemon, name, [area]);
    const tablet = await tabletOn(t, daemon, token);
    await tablet.heard(`${name}'s states`, about(entity));
    return Object.assign(tablet, { id, token, as: daemon.as(token) });
  };
  return {
    daemon,
    inStudio: await one("Studio wall", studio, LIGHT),
    inDen: await one("Den wall", den, OTHER),
  };
}

test("a light switched in Home Assistant reaches exactly the tablets with its area", async (t) => {
  const { daemon, inStudio, inDen } = await tablets(t);
  const alsoInStudio = await tabletOn(t, daemon, (await pair(daemon, "Door", [studio, den])).token);
  await alsoInStudio.heard("states", about(LIGHT));
  const began = performance.now();
  const done = callInCore(house, "light", "turn_on", LIGHT, { brightness: 77 });
  const [told] = await Promise.all([
    inStudio.heard("the light", isState(LIGHT, "on")),
    alsoInStudio.heard("the light", isState(LIGHT, "on")),
    done,
  ]);
  t.diagnostic(`a light was told after ${Math.round(told.at - began)} ms`);
  assert.equal(told.data.old_state, "off");
  assert.equal(told.data.attributes.brightness, 77);
  assert.deepEqual(told.data.areaIds, [studio]);
  assert.equal(told.id, undefined);

  await callInCore(house, "light", "turn_on", OTHER);
  await inDen.heard("its own light", isState(OTHER, "on"));
  await inDen.settle();
  assert.deepEqual(inDen.told.filter(about(LIGHT)), []);
  await alsoInStudio.heard("the den's light", isState(OTHER, "on"));
  await inStudio.settle();
  assert.deepEqual(inStudio.told.filter(about(OTHER)), []);

  const states = (await inStudio.as("GET", "/api/entities")).body.states;
  const light = states.find(({ entityId }) => entityId === LIGHT);
  assert.deepEqual([light.state, light.attributes.brightness, light.areaIds], ["on", 77, [studio]]);
  assert.ok(Date.parse(light.lastChanged));
  assert.ok(!states.some(({ entityId }) => entityId === OTHER));
});

test("ten quick changes are told in order, and the last one stands", async (t) => {
  const { inStudio } = await tablets(t);
  for (let turn = 1; turn <= 10; turn++) {
    await callInCore(house, "light", "turn_on", LIGHT, { brightness: turn * 20 });
  }
  const bright = ({ data }) => data?.attributes?.brightness;
  await inStudio.heard("the last one", (message) => bright(message) === 200);
  const seen = inStudio.told.filter(isState(LIGHT, "on")).map(bright);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
});

test("a tablet switches a light of its area, over HTTP and on its socket", async (t) => {
  const { inStudio } = await tablets(t);
  const data = { brightness: 120 };
  const call = { service: "turn_on", data };
  const answer = await inStudio.as("POST", `/api/entities/${LIGHT}/call`, call);
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await stateInCore(house, LIGHT)).attributes.brightness, 120);
  await inStudio.heard("the light", isState(LIGHT, "on"));
  const off = await inStudio.ask("call_service", { entityId: LIGHT, service: "light.turn_off" });
  assert.equal(off.success, true, JSON.stringify(off));
  assert.equal((await stateInCore(house, LIGHT)).state, "off");
  await inStudio.heard("the dark", isState(LIGHT, "off"));
});

test("a tablet is refused what is not its own, not allowed, or smuggled in", async (t) => {
  const { daemon, inStudio } = await tablets(t);
  await putEntity(house, LOCK, studio);
  t.after(() => putEntity(house, LOCK, null));
  await mirrored(daemon, studio, [LOCK]);
  const call = async (entity, service, data) => {
    const answer = await inStudio.as("POST", `/api/entities/${entity}/call`, { service, data });
    const said = await inStudio.ask("call_service", { entityId: entity, service, data });
    assert.equal(said.success, answer.status === 200, JSON.stringify(said));
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
  assert.equal((await stateInCore(house, OTHER)).state, "off");
  assert.equal((await stateInCore(house, LIGHT)).state, "off");
  assert.equal((await stateInCore(house, GARAGE)).state, "closed");
});

test("what Home Assistant refuses is told in its own words", async (t) => {
  const { inStudio } = await tablets(t);
  const said = await assertRejects(
    callInCore(house, "climate", "set_temperature", CLIMATE, { temperature: 99 }),
  );
  const answer = await inStudio.as("POST", `/api/entities/${CLIMATE}/call`, {
    service: "set_temperature",
    data: { temperature: 99 },
  });
  assert.equal(answer.status, 502, answer.text);
  assert.equal(answer.body.error, said);
});

async function assertRejects(promise) {
  let said;
  await assert.rejects(promise, (error) => Boolean((said = error.message)));
  return said;
}

test("a disabled area's entities are neither told nor controllable", async (t) => {
  const { daemon, inStudio } = await tablets(t);
  const turn = () => inStudio.as("POST", `/api/entities/${LIGHT}/call`, { service: "turn_on" });
  await daemon.admin("PATCH", `/api/areas/${studio}/toggle`, { isEnabled: false });
  await inStudio.heard("the area's sleep", ({ type }) => type === "area_disabled");
  const from = inStudio.told.length;
  assert.equal((await turn()).status, 403);
  await callInCore(house, "light", "turn_on", LIGHT, { brightness: 33 });
  // What another tablet still hears of Core, this one would have heard by now.
  await callInCore(house, "light", "turn_on", OTHER);
  await eventually("the den's light", async () => {
    const { body } = await daemon.admin("GET", "/api/entities");
    return body.states.some(({ entityId, state }) => entityId === OTHER && state === "on");
  });
  await inStudio.settle();
  assert.deepEqual(inStudio.told.slice(from).filter(about(LIGHT)), []);
  assert.deepEqual((await inStudio.as("GET", "/api/entities")).body.states, []);

  await daemon.admin("PATCH", `/api/areas/${studio}/toggle`, { isEnabled: true });
  await inStudio.heard("the newest state", about(LIGHT), from);
  const { states } = await inStudio.ask("get_states");
  const light = states.find(({ entityId }) => entityId === LIGHT);
  assert.equal(light.attributes.brightness, 33);
  assert.equal((await turn()).status, 200);
});

test("an entity that moves to a tablet's area is told with its state, and no more once it left", async (t) => {
  const { daemon, inDen } = await tablets(t);
  t.after(() => putEntity(house, LIGHT, studio));
  await callInCore(house, "light", "turn_on", LIGHT, { brightness: 61 });
  await putEntity(house, LIGHT, den);
  await inDen.heard("the light that came", about(LIGHT));
  await eventually("the den's states", async () => {
    const { states } = await inDen.ask("get_states");
    return states.some((state) => state.entityId === LIGHT && state.attributes.brightness === 61);
  });
  await putEntity(house, LIGHT, studio);
  await eventually("the light's leave", async () => {
    const { states } = await inDen.ask("get_states");
    return !states.some((state) => state.entityId === LIGHT);
  });
  await mirrored(daemon, studio, [LIGHT]);
  const from = inDen.told.length;
  await callInCore(house, "light", "turn_off", LIGHT);
  await callInCore(house, "light", "turn_on", OTHER);
  await inDen.heard("its own light", isState(OTHER, "on"), from);
  assert.deepEqual(inDen.told.slice(from).filter(about(LIGHT)), []);
});

test("a lock of a mirrored area is a locker of its kiosk", async (t) => {
  const { daemon } = await tablets(t);
  await putEntity(house, LOCK, studio);
  t.after(() => putEntity(house, LOCK, null));
  const locker = await eventually("the locker", async () => {
    const { status, body } = await daemon.admin("GET", `/api/lockers/${LOCK}`);
    return status === 200 && body;
  });
  assert.equal(locker.kioskId, studio);
  const before = locker.state;
  const [service, after] = before === "locked" ? ["unlock", "unlocked"] : ["lock", "locked"];
  const admin = await tabletOn(t, daemon, daemon.adminToken);
  await callInCore(house, "lock", service, LOCK);
  const told = await admin.heard(
    "the locker's new state",
    ({ type, data }) => type === "locker_state_changed" && data.newState === after,
  );
  assert.deepEqual([told.data.lockerId, told.data.kioskId], [LOCK, studio]);
});
