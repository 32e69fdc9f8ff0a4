// What people and devices may write reaches every page as text: nothing of it runs, breaks a page or
// leads anywhere else.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ASKED_WHO, signIn, visit } from "./admin.mjs";
import { pairedTablet, startAll } from "./tablet.mjs";
import { pair } from "./support.mjs";

const HOSTILE = `<img src=x onerror=alert(1)>'"\u2028&lt;`;
/** Names that every object has without being asked. */
const INHERITED = ["constructor", "__proto__", "tostring", "valueof"];
const PLACES = [
  "overview", "tablets", "pair", "areas", "messages", "help", "board", "lockers", "events", "audit",
  "access/tokens", "access/constructor", "%", "tablets/%E0%A4%A", "javascript:alert(1)", "//localhost/x",
];

/** Fails the test where a page opens a dialog or leaves its origin. */
function guard(page, origin) {
  const wrongs = [];
  page.on("dialog", (dialog) => {
    wrongs.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("framenavigated", (frame) => new URL(frame.url()).origin === origin || wrongs.push(`at ${frame.url()}`));
  return () => assert.deepEqual(wrongs, []);
}

test("on the admin's page", async (t) => {
  const { daemon, browser } = await startAll(t);
  const tell = async (path, body) => {
    const { status, text } = await daemon.admin("POST", path, body);
    assert.ok(status < 300, `${path}: ${text}`);
  };
  const tablet = await pair(daemon, HOSTILE, []);
  await tell("/api/areas", { name: HOSTILE, entityIds: ["light.living_shelf", "constructor.x"] });
  await tell("/api/services", { name: HOSTILE, status: "degraded" });
  await tell("/api/incidents", { title: HOSTILE });
  await tell("/api/lockers", { id: `<b>"'`, kioskId: "<i>", state: "<u>" });
  await tell("/api/help", { kioskId: "<i>", category: "<img/src=x/onerror=alert(1)>", note: HOSTILE });
  await tell("/api/messages", { to: { clientId: tablet.id }, body: HOSTILE });
  for (const type of INHERITED) {
    await tell("/api/commands", { clientId: tablet.id, type });
  }
  await tell("/api/websocket/broadcast", { type: "constructor", data: { type: "b", props: {} } });
  const asked = await daemon.as()("POST", "/api/pairing/requests", { name: HOSTILE, platform: HOSTILE.slice(0, 40) });
  assert.equal(asked.status, 201);

  const admin = await signIn({ daemon, browser });
  const { page } = admin;
  const assertSafe = guard(page, daemon.url);
  for (const place of [...PLACES, `tablets/${tablet.id}`]) {
    await visit(page, place);
    assert.equal(await page.locator("main img[src=x], main b, main i:not(.dot):not(:empty), main u").count(), 0, place);
  }
  await page.locator(".outcomes").getByText("__proto__").waitFor();
  await visit(page, "events");
  await page.locator(".log-words", { hasText: "constructor" }).waitFor();
  await page.goto(`${daemon.url}/admin/#%`);
  await page.reload();
  await page.locator("main h1").waitFor();
  assertSafe();
  admin.assertClean(ASKED_WHO);
});

test("on a tablet", async (t) => {
  const all = await startAll(t);
  const { daemon, house } = all;
  const { body: area } = await daemon.admin("POST", "/api/areas", {
    name: HOSTILE, entityIds: ["light.living_shelf", "media_player.living", "input_select.hall_mode", "sensor.kitchen_fridge", "constructor.x"],
  });
  house.set("light.living_shelf", "on", { friendly_name: HOSTILE });
  house.set("media_player.living", "playing", { media_title: HOSTILE, media_artist: HOSTILE });
  house.set("input_select.hall_mode", HOSTILE, { options: [HOSTILE] });
  house.set("sensor.kitchen_fridge", HOSTILE, { unit_of_measurement: HOSTILE, device_class: "constructor" });
  const tablet = await pairedTablet(all, { name: HOSTILE, areaIds: [area.id] });
  const { page } = tablet;
  const assertSafe = guard(page, daemon.url);
  await page.locator("h1", { hasText: "<img" }).waitFor();

  const outcome = async (type, parameters) => {
    const { body: given } = await daemon.admin("POST", "/api/commands", { clientId: tablet.id, type, parameters });
    for (let looks = 0; looks < 500; looks += 1) {
      const { commands } = (await daemon.admin("GET", "/api/commands?limit=20")).body;
      const found = commands.find(({ id, result }) => id === given.id && result);
      if (found) return found.result;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return assert.fail(`${type} has no outcome`);
  };
  for (const type of INHERITED) assert.match((await outcome(type)).error, /knows no command/);
  for (const areaId of ["javascript:alert(1)", "https://example.com/", "//example.com", "%", "__proto__"]) {
    assert.match((await outcome("navigate", { areaId, area: areaId, url: areaId })).error, /no such area/);
  }
  assert.equal((await outcome("configure", { language: "constructor" })).success, true);
  assert.equal((await outcome("identify")).success, true);
  await page.locator(".identity-name", { hasText: "<img" }).click();

  await page.goto(`${daemon.url}/#area/%E0%A4%A`);
  await page.reload();
  await page.locator(".home.is-live h1", { hasText: "<img" }).waitFor();
  await daemon.admin("POST", "/api/messages", { to: { clientId: tablet.id }, body: HOSTILE });
  await page.locator(".message-body", { hasText: "<img" }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href]));
  assert.doesNotMatch(kept, /eyJ|sessionId|token/i);
  assertSafe();
  tablet.assertClean();
});
