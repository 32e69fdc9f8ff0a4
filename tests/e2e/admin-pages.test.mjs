// The admin page in general: sign-in and ingress, accessibility, keyboard, languages, its connection status, and
// recovery after every disconnect.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { SIGN_IN_CHECK, isLive, openIngress, signIn, startEnvironment, visit } from "./admin.mjs";
import { openWindow, violations } from "./browser.mjs";
import { createArea, pair } from "./support.mjs";

const PAGES = [
  "overview", "tablets", "pair", "areas", "messages", "messages/new", "help", "board", "lockers", "events",
  "events/from/0", "audit", "access/tokens", "access/sessions", "access/certificate", "access/examples", "tryout",
];

async function setUp(env) {
  const { daemon } = env;
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  await daemon.admin("POST", "/api/messages", { to: { clientId: tablet.id }, body: "Hello" });
  await daemon.admin("POST", "/api/help", { kioskId: "lobby", category: "payment" });
  await daemon.admin("POST", "/api/lockers", { id: "one", kioskId: "lobby", state: "locked" });
  await daemon.admin("POST", "/api/incidents", { title: "Slow doors" });
  await daemon.admin("POST", "/api/commands", { clientId: tablet.id, type: "identify" });
  await daemon.as()("POST", "/api/pairing/requests", { name: "New one" });
  return tablet;
}

for (const [name, viewport] of [["phone", { width: 390, height: 844 }], ["desktop", { width: 1440, height: 900 }]]) {
  test(`every page on a ${name} is accessible, fits the screen and logs no errors`, async (t) => {
    const env = await startEnvironment(t);
    const tablet = await setUp(env);
    const scheme = name === "phone" ? "dark" : "light";
    const admin = await openIngress(env, { viewport, colorScheme: scheme, reducedMotion: "reduce" });
    const { page } = admin;
    for (const pageName of [...PAGES, `tablets/${tablet.id}`]) {
      await visit(page, pageName);
      assert.deepEqual(await violations(page), [], pageName);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(excess <= 0, `${pageName} is wider than the screen by ${excess}`);
    }
    admin.assertClean();
  });
}

test("sign-in exchanges an admin's token for an HttpOnly cookie and refuses other tokens", async (t) => {
  const env = await startEnvironment(t);
  const tablet = await pair(env.daemon, "Wall", []);
  const admin = await openWindow(env.browser);
  const { page } = admin;
  await page.goto(`${env.daemon.url}/admin/`);
  assert.deepEqual(await violations(page), []);
  const signInWith = async (token) => {
    await page.getByLabel("Admin token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  await signInWith("nonsense");
  await page.getByText("This token does not stand").waitFor();
  await signInWith(tablet.token);
  await page.getByText("takes an admin's token").waitFor();
  await signInWith(env.daemon.adminToken);
  await isLive(page);
  // Sign out, and sign in once more.
  await page.getByRole("button", { name: "Sign out" }).click();
  await signInWith(env.daemon.adminToken);
  await isLive(page);
  const seen = await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.ok(!seen.includes("sessionId") && !seen.includes(env.daemon.adminToken));

  // When its token is revoked, the page reports it and asks for a new one.
  const { jti } = (await env.daemon.admin("GET", "/api/me")).body;
  await env.daemon.local("DELETE", `/api/tokens/${jti}`);
  await page.getByText("Your session has ended").waitFor();
  admin.assertClean(/status of 401/);
});

test("the page resumes after a cut socket and marks data stale while the daemon is down", async (t) => {
  const env = await startEnvironment(t);
  await pair(env.daemon, "Wall", []);
  const admin = await openIngress(env);
  const { page } = admin;
  const online = page.locator(".figures li").first();
  await online.getByText("/ 1").waitFor();
  assert.equal(await online.getAttribute("data-stale"), null);
  // Home Assistant cuts the socket. The page must receive the events that follow.
  assert.ok(env.ingress.cutSockets() > 0);
  const area = await createArea(env.daemon, "Cellar");
  await isLive(page);
  await visit(page, "areas");
  await page.getByText("Cellar").first().waitFor();
  await visit(page, "events");
  await page.getByText("Area Cellar was made").first().waitFor();
  await env.daemon.admin("PATCH", `/api/areas/${area}`, { name: "Deep cellar" });
  await page.getByText("Area Deep cellar changed").first().waitFor();

  await visit(page, "overview");
  env.daemon.child.kill("SIGKILL");
  await page.getByText("Wallcast cannot be reached.").waitFor();
  await page.getByText("Not connected", { exact: true }).waitFor();
  assert.equal(await online.getAttribute("data-stale"), "yes");
  await page.getByText(/^as of \d\d:\d\d:\d\d$/).first().waitFor();
  // A write fails with advice.
  await visit(page, "areas");
  await page.getByRole("button", { name: "Create an area" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Attic");
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await page.getByRole("dialog").getByText("try again in a moment").waitFor();
  await page.keyboard.press("Escape");
  await env.daemon.restart("SIGKILL");
  env.ingress.restore();
  await isLive(page);
  await page.getByText("Wallcast cannot be reached.").waitFor({ state: "detached" });
  await visit(page, "overview");
  await page.locator(".figures li:first-child:not([data-stale])").waitFor();
  admin.assertClean(/502|WebSocket connection|Failed to load resource|ERR_/);
});

test("a failed request shows the reason and is retried automatically", async (t) => {
  const env = await startEnvironment(t);
  await env.daemon.admin("POST", "/api/lockers", { id: "one", kioskId: "lobby", state: "locked" });
  const { page } = await signIn(env);
  const refusals = [
    [503, { error: "the store cannot write", code: "unavailable" }, "This cannot be done at the moment: the store cannot write."],
    [429, { error: "slow down", code: "rate_limited" }, "That was too often. Wait 1 seconds"],
    [500, undefined, "Wallcast answered with status 500."],
  ];
  for (const [status, body, words] of refusals) {
    await visit(page, "areas");
    await page.route("**/api/lockers*", (route) =>
      route.fulfill({ status, headers: { "retry-after": "1" }, contentType: "application/json", body: body ? JSON.stringify(body) : "no JSON" }));
    // Reload, so that the page does not use what it loaded before.
    await page.reload();
    await isLive(page);
    await visit(page, "lockers");
    await page.getByRole("alert").filter({ hasText: words }).waitFor();
    await page.unroute("**/api/lockers*");
    await page.locator("main .row", { hasText: "one" }).waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
  }
});

test("the page can be used with the keyboard alone", async (t) => {
  const env = await startEnvironment(t);
  const admin = await openIngress(env);
  const { page } = admin;
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await visit(page, "areas");
  const create = page.locator(".head").getByRole("button", { name: "Create an area" });
  await create.focus();
  await page.keyboard.press("Enter");
  // The dialog takes the focus, keeps it, and returns it on close.
  await page.keyboard.type("Loft");
  await page.keyboard.press("Tab");
  await page.keyboard.type("light.loft");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText("Loft was made").waitFor();
  await create.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.ok(await create.evaluate((button) => button === document.activeElement));
  await page.getByRole("switch", { name: "Loft is switched on" }).focus();
  await page.keyboard.press("Space");
  await page.getByRole("dialog").getByRole("button", { name: "Switch off" }).focus();
  await page.keyboard.press("Enter");
  await page.getByText("Loft is off").waitFor();
  admin.assertClean();
});

test("an admin can edit the board and lockers, and inspect and send events", async (t) => {
  const env = await startEnvironment(t);
  const admin = await openIngress(env);
  const { page } = admin;
  const dialog = page.getByRole("dialog");
  await visit(page, "board");
  await page.getByRole("button", { name: "Service", exact: true }).click();
  await dialog.getByLabel("Name").fill("Doors");
  await dialog.getByLabel("How it is").selectOption("degraded");
  await dialog.getByRole("button", { name: "Create" }).click();
  await page.getByText("The worst service: degraded").waitFor();
  await page.getByRole("button", { name: "Incident", exact: true }).click();
  await dialog.getByLabel("Title").fill("Slow doors");
  await dialog.getByLabel("Doors").check();
  await dialog.getByRole("button", { name: "Create" }).click();
  await page.getByRole("button", { name: "Tell news" }).click();
  await dialog.getByLabel("What is known now").fill("Oiled");
  await dialog.getByLabel("How far it is").selectOption("resolved");
  await dialog.getByRole("button", { name: "Tell", exact: true }).click();
  await page.getByText("No incident is open").waitFor();

  await visit(page, "lockers");
  await page.getByRole("button", { name: "Add a locker" }).first().click();
  await dialog.getByLabel("Id", { exact: true }).fill("seven");
  await dialog.getByLabel("Kiosk id").fill("lobby");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  // The kiosk has no tablet, so the command is refused.
  await page.getByRole("button", { name: "Command for seven" }).click();
  await dialog.getByRole("button", { name: "Give" }).click();
  await dialog.getByText("No tablet belongs to the kiosk lobby").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Change seven" }).click();
  await dialog.getByLabel("State").fill("open");
  await dialog.getByRole("button", { name: "Save" }).click();

  await visit(page, "events");
  await page.getByText("Locker seven is open").waitFor();
  await page.getByLabel("Filter").fill("locker -incident");
  await page.getByText("1 event", { exact: true }).waitFor();
  await page.getByRole("button", { name: /Locker seven is open/ }).click();
  await page.getByText('"newState": "open"').waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ type }) => type), ["locker_state_changed"]);
  await page.getByLabel("Filter").fill("");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Send an event" }).click();
  await dialog.getByLabel("Type").fill("tea_time");
  await dialog.getByLabel(/What it says/).fill('{"cups": 4}');
  await dialog.getByRole("button", { name: "Send" }).click();
  await page.getByText(/Paused; [1-9]/).waitFor();
  assert.equal(await page.locator(".log").getByText("tea_time").count(), 0);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator(".log").getByText("tea_time").first().waitFor();
  await visit(page, "audit");
  await page.getByText("locker.change").waitFor();
  admin.assertClean(/422/);
});

test("a new token is shown once and works in every dialect of the test client", async (t) => {
  const env = await startEnvironment(t);
  const admin = await signIn(env);
  const { page } = admin;
  const dialog = page.getByRole("dialog");
  await visit(page, "access/tokens");
  await page.getByRole("button", { name: "New token" }).click();
  await dialog.getByLabel("For", { exact: true }).selectOption("client");
  await dialog.getByLabel("Name").fill("Probe");
  await dialog.getByRole("button", { name: "Make it" }).click();
  const token = await dialog.locator("pre").textContent();
  assert.match(token, /^ey[\w-]+\.[\w-]+\.[\w-]+$/);
  await dialog.getByRole("button", { name: "I have it" }).click();
  assert.ok(!(await page.content()).includes(token));

  await visit(page, "tryout");
  for (const dialect of ["websocket", "sse", "socketio"]) {
    await page.getByLabel("Dialect").selectOption(dialect);
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    const welcome = page.locator("ol.log button", { hasText: /connect(ion|ed)/ }).first();
    await welcome.click();
    // The session is the tablet's, although the browser has the admin's cookie.
    await page.locator(".payload", { hasText: '"role": "client"' }).first().waitFor();
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("ol.log .log-type", { hasText: "pong" }).first().waitFor();
    await page.getByRole("button", { name: "Disconnect", exact: true }).click();
  }
  await visit(page, "access/certificate");
  const { certificate } = (await env.daemon.admin("GET", "/api/house")).body;
  await page.getByText(certificate.authority.fingerprint).waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download the certificate" }).click()]);
  assert.equal(readFileSync(await download.path(), "utf8"), env.daemon.ca);
  admin.assertClean(SIGN_IN_CHECK);
});

test("every text of the page has a German translation", async (t) => {
  const folder = fileURLToPath(new URL("../../web/admin/", import.meta.url));
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js") && !name.startsWith("words/"));
  const texts = new Set();
  for (const name of files) {
    const text = readFileSync(folder + name, "utf8");
    for (const [, sentence] of text.matchAll(/\bt\(\s*"((?:[^"\\]|\\.)*)"/g)) texts.add(JSON.parse(`"${sentence}"`));
    for (const [, one, many] of text.matchAll(/\bcount\([^"]*?,\s*"([^"]*)",\s*"([^"]*)"/g)) texts.add(one).add(many);
  }
  assert.ok(texts.size > 500);
  const { default: german } = await import("../../web/admin/words/de.js");
  assert.deepEqual([...texts].filter((sentence) => !(sentence in german)), [], "without translation");
  assert.deepEqual(Object.keys(german).filter((sentence) => !texts.has(sentence)), [], "unused translation");
  const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
  for (const [sentence, translated] of Object.entries(german)) assert.equal(values(translated), values(sentence), sentence);

  const env = await startEnvironment(t);
  const admin = await openIngress(env, { locale: "de-DE" });
  await admin.page.getByRole("heading", { name: "Übersicht" }).waitFor();
  assert.equal(await admin.page.evaluate(() => document.documentElement.lang), "de");
  await admin.page.getByLabel("Sprache").selectOption("en");
  await admin.page.getByRole("heading", { name: "Overview" }).waitFor();
  await admin.page.getByLabel("Colours").selectOption("dark");
  assert.equal(await admin.page.evaluate(() => document.documentElement.dataset.theme), "dark");
  admin.assertClean();
});
