// Areas of a real Home Assistant, as admins and tablets have them (contract 7).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { pair } from "../e2e/support.mjs";
import { eventually } from "./core.mjs";
import { mirrored, startApp, startHouse, tabletOn } from "./house.mjs";
import { makeArea, putDeviceOf, putEntity } from "./rooms.mjs";

let house;
before(async () => (house = await startHouse()));
after(() => house?.close());

const areaOf = (areaId) => ({ data }) => data?.areaId === areaId;
const told = (type, areaId) => (message) => message.type === type && areaOf(areaId)(message);

test("areas appear with the entities that stand in them by themselves or by their device", async (t) => {
  const cinema = await makeArea(house, "Cinema");
  const cellar = await makeArea(house, "Cellar");
  await putEntity(house, "switch.ac", cinema);
  await putDeviceOf(house, "light.bed_light", cinema);
  await putDeviceOf(house, "light.ceiling_lights", cinema);
  await putEntity(house, "light.ceiling_lights", cellar);

  const daemon = await startApp(t, house);
  const area = await mirrored(daemon, cinema, ["switch.ac", "light.bed_light"]);
  assert.equal(area.name, "Cinema");
  assert.equal(area.source, "homeassistant");
  assert.equal(area.isEnabled, true);
  assert.ok(Number.isInteger(area.roomId));
  assert.deepEqual(area.entityIds.filter((id) => id.startsWith("light.")), ["light.bed_light"]);
  assert.deepEqual((await mirrored(daemon, cellar)).entityIds, ["light.ceiling_lights"]);

  const { id, token } = await pair(daemon, "Wall", [cinema]);
  const tablet = await tabletOn(t, daemon, token);
  const [{ assignedAreas }] = tablet.of("connection");
  assert.deepEqual(assignedAreas.map((area) => [area.id, area.name]), [[cinema, "Cinema"]]);
  const { body } = await daemon.as(token)("GET", "/api/areas");
  assert.deepEqual(body.areas.map((area) => area.id), [cinema]);
  assert.deepEqual(body.areas[0].entityIds, area.entityIds);
  assert.equal((await daemon.as(token)("GET", `/api/areas/${cellar}`)).status, 403);
  assert.deepEqual((await daemon.admin("GET", `/api/areas/${cinema}`)).body.clientIds, [id]);
});

test("what changes in Home Assistant reaches the tablets with the area, and no other", async (t) => {
  const attic = await makeArea(house, "Attic");
  const barn = await makeArea(house, "Barn");
  const daemon = await startApp(t, house);
  await mirrored(daemon, attic);
  await mirrored(daemon, barn);
  const inAttic = await tabletOn(t, daemon, (await pair(daemon, "Attic wall", [attic])).token);
  const inBarn = await tabletOn(t, daemon, (await pair(daemon, "Barn wall", [barn])).token);

  const began = performance.now();
  await house.command("config/area_registry/update", { area_id: attic, name: "Loft" });
  const renamed = await inAttic.heard("the new name", told("area_updated", attic));
  t.diagnostic(`a renamed area was told after ${Math.round(renamed.at - began)} ms`);
  assert.equal(renamed.data.name, "Loft");
  assert.ok(Number.isInteger(renamed.id));
  assert.equal((await daemon.admin("GET", `/api/areas/${attic}`)).body.name, "Loft");

  const withEntity = (entityId) => (message) =>
    told("area_updated", attic)(message) && message.data.entityIds.includes(entityId);
  const without = (entityId) => (message) =>
    told("area_updated", attic)(message) && !message.data.entityIds.includes(entityId);
  const step = async (what, act, fits) => {
    const from = inAttic.told.length;
    await act();
    await inAttic.heard(what, fits, from);
  };
  await step(
    "an entity that came",
    () => putEntity(house, "switch.decorative_lights", attic),
    withEntity("switch.decorative_lights"),
  );
  await step(
    "a device that came",
    () => putDeviceOf(house, "light.kitchen_lights", attic),
    withEntity("light.kitchen_lights"),
  );
  await step(
    "an entity that has another name",
    () =>
      house.command("config/entity_registry/update", {
        entity_id: "light.kitchen_lights",
        new_entity_id: "light.cooking",
      }),
    (message) => withEntity("light.cooking")(message) && without("light.kitchen_lights")(message),
  );
  await step("an entity that went", () => putEntity(house, "light.cooking", barn), without("light.cooking"));
  await step(
    "an entity that came back to its device's area",
    () => putEntity(house, "light.cooking", null),
    withEntity("light.cooking"),
  );
  const hidden = (by) =>
    house.command("config/entity_registry/update", { entity_id: "light.cooking", hidden_by: by });
  await step("an entity that was hidden", () => hidden("user"), without("light.cooking"));
  await step("an entity that is shown again", () => hidden(null), withEntity("light.cooking"));
  await step("a device that went", () => putDeviceOf(house, "light.cooking", null), without("light.cooking"));
  await eventually("the barn to be empty again", async () => {
    const { body } = await daemon.admin("GET", `/api/areas/${barn}`);
    return body.entityIds.length === 0;
  });

  await house.command("config/area_registry/delete", { area_id: attic });
  const gone = await inAttic.heard("the area's end", told("area_removed", attic));
  assert.equal(gone.data.reason, "deleted");
  assert.equal((await daemon.admin("GET", `/api/areas/${attic}`)).status, 404);
  await house.command("config/area_registry/update", { area_id: barn, name: "Stable" });
  await inBarn.heard("the barn's new name", (message) => message.data?.name === "Stable");
  assert.deepEqual(inBarn.told.filter(areaOf(attic)), []);
});

test("a change that changes nothing for Wallcast tells nobody", async (t) => {
  const shed = await makeArea(house, "Shed");
  const daemon = await startApp(t, house);
  await mirrored(daemon, shed);
  const tablet = await tabletOn(t, daemon, (await pair(daemon, "Shed wall", [shed])).token);
  await house.command("config/area_registry/update", { area_id: shed, icon: "mdi:shovel" });
  await house.command("config/area_registry/update", { area_id: shed, aliases: ["Hut"] });
  await house.command("config/area_registry/update", { area_id: shed, name: "Tool shed" });
  await tablet.heard("the new name", told("area_updated", shed));
  assert.equal(tablet.of("area_updated").length, 1);
});

test("what admins set of a mirrored area is Wallcast's own, and its name is Home Assistant's", async (t) => {
  const hall = await makeArea(house, "Hall");
  const daemon = await startApp(t, house);
  await mirrored(daemon, hall);
  const { id, token } = await pair(daemon, "Hall wall", [hall]);
  const tablet = await tabletOn(t, daemon, token);
  const toggled = await daemon.admin("PATCH", `/api/areas/${hall}/toggle`, { isEnabled: false });
  assert.equal(toggled.status, 200);
  await tablet.heard("the area's sleep", told("area_disabled", hall));
  await house.command("config/area_registry/update", { area_id: hall, name: "Corridor" });
  await tablet.heard("the new name", told("area_updated", hall));
  const before = (await daemon.admin("GET", `/api/areas/${hall}`)).body;
  assert.deepEqual([before.isEnabled, before.clientIds], [false, [id]]);
  await daemon.restart("SIGTERM");
  await mirrored(daemon, hall);
  const { body } = await daemon.admin("GET", `/api/areas/${hall}`);
  assert.deepEqual(body, before);
});
