// Text from people and devices is shown as text on every page: it never runs as a script, breaks a page or
// navigates elsewhere.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SIGN_IN_CHECK, signIn, visit } from "./admin.mjs";
import { pairedTablet, startEnvironment } from "./tablet.mjs";
import { pair } from "./support.mjs";

const HOSTILE = `<img src=x onerror=alert(1)>'"\u2028&lt;`;
/** Names that every JavaScript object inherits. */
const INHERITED = ["constructor", "__proto__", "tostring", "valueof"];
const PAGES = [
  "overview", "tablets", "pair", "areas", "messages", "help", "board", "lockers", "events", "audit",
  "access/tokens", "access/constructor", "%", "tablets/%E0%A4%A", "javascript:alert(1)", "//localhost/x",
];

/** Returns a function that asserts that the page opened no dialog and stayed on its origin. */
function guard(page, origin) {
  const violations = [];
  page.on("dialog", (dialog) => {
    violations.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("framenavigated", (frame) => new URL(frame.url()).origin === origin || violations.push(`at ${frame.url()}`));
  return () => assert.deepEqual(violations, []);
}

test("the admin page shows hostile text as text", async (t) => {
  const { daemon, browser } = await startEnvironment(t);
  const post = async (path, body) => {
    const { status, text } = await daemon.admin("POST", path, body);
    assert.ok(status < 300, `${path}: ${text}`);
  };
  const tablet = await pair(daemon, HOSTILE, []);
  await post("/api/areas", { name: HOSTILE, entityIds: ["light.living_shelf", "constructor.x"] });
  await post("/api/services", { name: HOSTILE, status: "degraded" });
  await post("/api/incidents", { title: HOSTILE });
  await post("/api/lockers", { id: `<b>"'`, kioskId: "<i>", state: "<u>" });
  await post("/api/help", { kioskId: "<i>", category: "<img/src=x/onerror=alert(1)>", note: HOSTILE });
  await post("/api/messages", { to: { clientId: tablet.id }, body: HOSTILE });
  for (const type of INHERITED) {
    await post("/api/commands", { clientId: tablet.id, type });
  }
  await post("/api/websocket/broadcast", { type: "constructor", data: { type: "b", props: {} } });
  const request = await daemon.as()("POST", "/api/pairing/requests", { name: HOSTILE, platform: HOSTILE.slice(0, 40) });
  assert.equal(request.status, 201);

  const admin = await signIn({ daemon, browser });
  const { page } = admin;
  const assertSafe = guard(page, daemon.url);
  for (const pageName of [...PAGES, `tablets/${tablet.id}`]) {
    await visit(page, pageName);
    assert.equal(await page.locator("main img[src=x], main b, main i:not(.dot):not(:empty), main u").count(), 0, pageName);
  }
  await page.locator(".outcomes").getByText("__proto__").waitFor();
  await visit(page, "events");
  await page.locator(".log-words", { hasText: "constructor" }).waitFor();
  await page.goto(`${daemon.url}/admin/#%`);
  await page.reload();
  await page.locator("main h1").waitFor();
  assertSafe();
  admin.assertClean(SIGN_IN_CHECK);
});

test("the tablet app shows hostile text as text", async (t) => {
  const env = await startEnvironment(t);
  const { daemon, homeAssistant } = env;
  const { body: area } = await daemon.admin("POST", "/api/areas", {
    name: HOSTILE, entityIds: ["light.living_shelf", "media_player.living", "input_select.hall_mode", "sensor.kitchen_fridge", "constructor.x"],
  });
  homeAssistant.set("light.living_shelf", "on", { friendly_name: HOSTILE });
  homeAssistant.set("media_player.living", "playing", { media_title: HOSTILE, media_artist: HOSTILE });
  homeAssistant.set("input_select.hall_mode", HOSTILE, { options: [HOSTILE] });
  homeAssistant.set("sensor.kitchen_fridge", HOSTILE, { unit_of_measurement: HOSTILE, device_class: "constructor" });
  const tablet = await pairedTablet(env, { name: HOSTILE, areaIds: [area.id] });
  const { page } = tablet;
  const assertSafe = guard(page, daemon.url);
  await page.locator("h1", { hasText: "<img" }).waitFor();

  const outcome = async (type, parameters) => {
    const { body: given } = await daemon.admin("POST", "/api/commands", { clientId: tablet.id, type, parameters });
    for (let attempt = 0; attempt < 500; attempt += 1) {
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
  const stored = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href]));
  assert.doesNotMatch(stored, /eyJ|sessionId|token/i);
  assertSafe();
  tablet.assertClean();
});
