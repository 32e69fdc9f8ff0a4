// Areas mirrored from a real Home Assistant (docs/protocol.md#home-assistant).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { pair } from "../e2e/support.mjs";
import { eventually } from "./core.mjs";
import { connectTablet, startApp, startHome, waitForMirroredArea } from "./home.mjs";
import { assignDeviceOf, assignEntity, createCoreArea } from "./registries.mjs";

let home;
before(async () => (home = await startHome()));
after(() => home?.close());

const areaOf = (areaId) => ({ data }) => data?.areaId === areaId;
const isAreaEvent = (type, areaId) => (message) => message.type === type && areaOf(areaId)(message);

test("areas are mirrored with their entities and those of their devices", async (t) => {
  const cinema = await createCoreArea(home, "Cinema");
  const cellar = await createCoreArea(home, "Cellar");
  await assignEntity(home, "switch.ac", cinema);
  await assignDeviceOf(home, "light.bed_light", cinema);
  await assignDeviceOf(home, "light.ceiling_lights", cinema);
  await assignEntity(home, "light.ceiling_lights", cellar);

  const daemon = await startApp(t, home);
  const area = await waitForMirroredArea(daemon, cinema, ["switch.ac", "light.bed_light"]);
  assert.equal(area.name, "Cinema");
  assert.equal(area.source, "homeassistant");
  assert.equal(area.isEnabled, true);
  assert.ok(Number.isInteger(area.roomId));
  assert.deepEqual(area.entityIds.filter((id) => id.startsWith("light.")), ["light.bed_light"]);
  assert.deepEqual((await waitForMirroredArea(daemon, cellar)).entityIds, ["light.ceiling_lights"]);

  const { id, token } = await pair(daemon, "Wall", [cinema]);
  const tablet = await connectTablet(t, daemon, token);
  const [{ assignedAreas }] = tablet.of("connection");
  assert.deepEqual(assignedAreas.map((area) => [area.id, area.name]), [[cinema, "Cinema"]]);
  const { body } = await daemon.as(token)("GET", "/api/areas");
  assert.deepEqual(body.areas.map((area) => area.id), [cinema]);
  assert.deepEqual(body.areas[0].entityIds, area.entityIds);
  assert.equal((await daemon.as(token)("GET", `/api/areas/${cellar}`)).status, 403);
  assert.deepEqual((await daemon.admin("GET", `/api/areas/${cinema}`)).body.clientIds, [id]);
});

test("a change of an area reaches its tablets and no others", async (t) => {
  const attic = await createCoreArea(home, "Attic");
  const barn = await createCoreArea(home, "Barn");
  const daemon = await startApp(t, home);
  await waitForMirroredArea(daemon, attic);
  await waitForMirroredArea(daemon, barn);
  const inAttic = await connectTablet(t, daemon, (await pair(daemon, "Attic wall", [attic])).token);
  const inBarn = await connectTablet(t, daemon, (await pair(daemon, "Barn wall", [barn])).token);

  const started = performance.now();
  await home.command("config/area_registry/update", { area_id: attic, name: "Loft" });
  const renamed = await inAttic.waitFor("the new name", isAreaEvent("area_updated", attic));
  t.diagnostic(`a renamed area was published after ${Math.round(renamed.at - started)} ms`);
  assert.equal(renamed.data.name, "Loft");
  assert.ok(Number.isInteger(renamed.id));
  assert.equal((await daemon.admin("GET", `/api/areas/${attic}`)).body.name, "Loft");

  const withEntity = (entityId) => (message) =>
    isAreaEvent("area_updated", attic)(message) && message.data.entityIds.includes(entityId);
  const without = (entityId) => (message) =>
    isAreaEvent("area_updated", attic)(message) && !message.data.entityIds.includes(entityId);
  const step = async (what, act, matches) => {
    const from = inAttic.received.length;
    await act();
    await inAttic.waitFor(what, matches, from);
  };
  await step(
    "an added entity",
    () => assignEntity(home, "switch.decorative_lights", attic),
    withEntity("switch.decorative_lights"),
  );
  await step(
    "an added device",
    () => assignDeviceOf(home, "light.kitchen_lights", attic),
    withEntity("light.kitchen_lights"),
  );
  await step(
    "a renamed entity",
    () =>
      home.command("config/entity_registry/update", {
        entity_id: "light.kitchen_lights",
        new_entity_id: "light.cooking",
      }),
    (message) => withEntity("light.cooking")(message) && without("light.kitchen_lights")(message),
  );
  await step("a removed entity", () => assignEntity(home, "light.cooking", barn), without("light.cooking"));
  await step(
    "an entity back in its device's area",
    () => assignEntity(home, "light.cooking", null),
    withEntity("light.cooking"),
  );
  const hidden = (by) =>
    home.command("config/entity_registry/update", { entity_id: "light.cooking", hidden_by: by });
  await step("a hidden entity", () => hidden("user"), without("light.cooking"));
  await step("an entity that is no longer hidden", () => hidden(null), withEntity("light.cooking"));
  await step("a removed device", () => assignDeviceOf(home, "light.cooking", null), without("light.cooking"));
  await eventually("the barn to be empty again", async () => {
    const { body } = await daemon.admin("GET", `/api/areas/${barn}`);
    return body.entityIds.length === 0;
  });

  await home.command("config/area_registry/delete", { area_id: attic });
  const gone = await inAttic.waitFor("the area's removal", isAreaEvent("area_removed", attic));
  assert.equal(gone.data.reason, "deleted");
  assert.equal((await daemon.admin("GET", `/api/areas/${attic}`)).status, 404);
  await home.command("config/area_registry/update", { area_id: barn, name: "Stable" });
  await inBarn.waitFor("the barn's new name", (message) => message.data?.name === "Stable");
  assert.deepEqual(inBarn.received.filter(areaOf(attic)), []);
});

test("a change irrelevant to Wallcast causes no event", async (t) => {
  const shed = await createCoreArea(home, "Shed");
  const daemon = await startApp(t, home);
  await waitForMirroredArea(daemon, shed);
  const tablet = await connectTablet(t, daemon, (await pair(daemon, "Shed wall", [shed])).token);
  await home.command("config/area_registry/update", { area_id: shed, icon: "mdi:shovel" });
  await home.command("config/area_registry/update", { area_id: shed, aliases: ["Hut"] });
  await home.command("config/area_registry/update", { area_id: shed, name: "Tool shed" });
  await tablet.waitFor("the new name", isAreaEvent("area_updated", shed));
  assert.equal(tablet.of("area_updated").length, 1);
});

test("a mirrored area keeps its assignments and state, and takes its name from Home Assistant", async (t) => {
  const hall = await createCoreArea(home, "Hall");
  const daemon = await startApp(t, home);
  await waitForMirroredArea(daemon, hall);
  const { id, token } = await pair(daemon, "Hall wall", [hall]);
  const tablet = await connectTablet(t, daemon, token);
  const toggled = await daemon.admin("PATCH", `/api/areas/${hall}/toggle`, { isEnabled: false });
  assert.equal(toggled.status, 200);
  await tablet.waitFor("the disabled area", isAreaEvent("area_disabled", hall));
  await home.command("config/area_registry/update", { area_id: hall, name: "Corridor" });
  await tablet.waitFor("the new name", isAreaEvent("area_updated", hall));
  const before = (await daemon.admin("GET", `/api/areas/${hall}`)).body;
  assert.deepEqual([before.isEnabled, before.clientIds], [false, [id]]);
  await daemon.restart("SIGTERM");
  await waitForMirroredArea(daemon, hall);
  const { body } = await daemon.admin("GET", `/api/areas/${hall}`);
  assert.deepEqual(body, before);
});
