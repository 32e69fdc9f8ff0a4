// The tablet app in Chromium against the real daemon over TLS, with a stand-in for Home Assistant.

import assert from "node:assert/strict";
import { test } from "node:test";

import { next, startProxy, within } from "./support.mjs";
import { openTablet, pairedTablet, shareEnvironment, startEnvironment, tile } from "./tablet.mjs";

const env = shareEnvironment();

const waitUntilLive = (page) => page.locator(".home.is-live:not(.is-stale)").waitFor();

test("an approved pairing request gives the tablet a cookie that scripts cannot read", async () => {
  const { daemon, areas } = env;
  const { page, context, assertClean } = await openTablet(env);
  const code = await page.getByTestId("code").textContent();
  assert.match(code, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
  const { body } = await daemon.admin("GET", "/api/pairing/requests");
  assert.deepEqual(body.requests.filter(({ status }) => status === "pending").map((request) => request.code), [code]);
  assert.match(body.requests.find((request) => request.code === code).platform, /Chrome/);
  await daemon.admin("POST", `/api/pairing/requests/${code}/approve`, { name: "Hall wall", areaIds: [areas.hall] });
  await waitUntilLive(page);
  await page.getByRole("heading", { name: "Hall" }).waitFor();

  const cookies = await context.cookies();
  const session = cookies.find(({ name }) => name === "sessionId");
  assert.equal(session.httpOnly, true);
  assert.equal(session.sameSite, "Strict");
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!kept.includes("eyJ") && !kept.includes(session.value), kept);

  await page.reload();
  await waitUntilLive(page);
  await page.getByRole("heading", { name: "Hall" }).waitFor();
  assertClean();
});

test("an admin's code pairs when typed or linked, and a wrong code shows an error", async () => {
  const { daemon, areas } = env;
  const first = await openTablet(env);
  const { page } = first;
  await page.getByRole("textbox").fill("000000");
  await page.getByText("This code is not right").waitFor();
  const offer = async (name) =>
    (await daemon.admin("POST", "/api/pairing/codes", { name, areaIds: [areas.kitchen] })).body;
  const { code } = await offer("First");
  await page.getByRole("textbox").fill(`${code.slice(0, 3)} ${code.slice(3)}`);
  await waitUntilLive(page);
  await page.getByRole("heading", { name: "Kitchen" }).waitFor();
  first.assertClean(/401.*pairing\/complete/);

  const { url } = await offer("Second");
  const second = await openTablet(env, { path: new URL(url).pathname + new URL(url).hash });
  await waitUntilLive(second.page);
  assert.ok(!second.page.url().includes("#"), second.page.url());
  const { body } = await daemon.admin("GET", "/api/clients");
  const names = body.clients.map(({ name }) => name);
  assert.deepEqual(names.filter((name) => /First|Second/.test(name)).sort(), ["First", "Second"]);
  second.assertClean();
});

test("an admin's code pairs when scanned with the camera", async () => {
  const { daemon, areas } = env;
  const { body } = await daemon.admin("POST", "/api/pairing/codes", { name: "Scanned", areaIds: [areas.hall] });
  const { page, context, assertClean } = await openTablet(env);
  // Replaces the barcode detector and the camera, which Chromium on Linux does not have.
  await context.addInitScript((seen) => {
    window.BarcodeDetector = class {
      async detect() {
        return [{ rawValue: seen }];
      }
    };
    const stream = () => document.createElement("canvas").captureStream();
    Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: async () => stream() } });
    HTMLMediaElement.prototype.play = async () => {};
  }, body.url);
  await page.goto(daemon.url);
  await page.getByRole("button", { name: "Scan" }).click();
  await waitUntilLive(page);
  await page.getByRole("heading", { name: "Hall" }).waitFor();
  assertClean();
});

test("a denied request shows the reason and can be repeated", async (t) => {
  const own = await startEnvironment(t);
  const { daemon } = own;
  const { page } = await openTablet(own);
  const code = await page.getByTestId("code").textContent();
  const { status } = await daemon.admin("POST", `/api/pairing/requests/${code}/deny`, { reason: "Not in the bathroom" });
  assert.equal(status, 200);
  await page.getByText("An admin has denied this request.").waitFor();
  await page.getByText("Not in the bathroom").waitFor();
  await page.getByRole("button", { name: "Show a new code" }).click();
  await page.getByTestId("code").waitFor();
  assert.notEqual(await page.getByTestId("code").textContent(), code);
});

test("an expired request is shown as expired", async (t) => {
  const own = await startEnvironment(t, { WALLCAST_PAIRING_TTL_SECONDS: "2" });
  const { page } = await openTablet(own);
  await page.getByText("This code has expired").waitFor();
});

test("too many requests from one address still allow an admin's code", async () => {
  for (let asked = 0; asked < 3; asked += 1) await env.daemon.as()("POST", "/api/pairing/requests", {});
  const { page, assertClean } = await openTablet(env);
  await page.getByText("Too many tablets ask from here at once").waitFor();
  const { body } = await env.daemon.admin("POST", "/api/pairing/codes", { name: "Fourth" });
  await page.getByRole("textbox").fill(body.code);
  await page.locator(".home.is-live").waitFor();
  assertClean(/status of 429/);
});

test("a tile shows the requested state at once and the real state afterwards", async () => {
  const { homeAssistant } = env;
  const { page, assertClean } = await pairedTablet(env, { areaIds: [env.areas.living] });
  const light = tile(page, "light.living_reading");
  const press = light.locator("button.face");
  await press.click();
  await light.and(page.locator('[data-state="on"]:not(.is-wished)')).waitFor();
  assert.equal(await press.getAttribute("aria-pressed"), "true");
  assert.deepEqual(homeAssistant.calls.map(({ service, entity }) => [service, entity]), [["turn_on", "light.living_reading"]]);
  assert.equal(homeAssistant.stateOf("light.living_reading"), "on");

  // The lamp is switched by another device.
  homeAssistant.set("light.living_reading", "off");
  await light.and(page.locator('[data-state="off"]')).waitFor();

  // If the lamp does not react, its tile returns to the real state.
  homeAssistant.ignore(true);
  await press.click();
  await light.and(page.locator('[data-state="on"].is-wished')).waitFor();
  await page.getByText("did not answer").waitFor();
  await light.and(page.locator('[data-state="off"]:not(.is-wished)')).waitFor();
  homeAssistant.ignore(false);

  homeAssistant.refuse("The lamp is unplugged");
  await press.click();
  await page.getByText("The lamp is unplugged").waitFor();
  await light.and(page.locator('[data-state="off"]:not(.is-wished)')).waitFor();
  homeAssistant.refuse(null);

  await tile(page, "light.living_ceiling").getByRole("button", { name: /More/ }).click();
  const slider = page.getByRole("slider", { name: "Brightness" });
  await slider.focus();
  await page.keyboard.press("Home");
  await tile(page, "light.living_ceiling").and(page.locator('[data-state="off"]:not(.is-wished)')).waitFor({ state: "attached" });
  await page.keyboard.press("End");
  await tile(page, "light.living_ceiling").and(page.locator('[data-state="on"]:not(.is-wished)')).waitFor({ state: "attached" });
  const warmth = page.getByRole("slider", { name: "Colour temperature" });
  await warmth.focus();
  await page.keyboard.press("End");
  await within("the colour temperature", (async () => {
    while (homeAssistant.calls.at(-1).data.color_temp_kelvin !== 6500) await page.waitForTimeout(20);
  })());
  await page.keyboard.press("Escape");
  assertClean();
});

test("every kind of tile calls its Home Assistant service", async () => {
  const { homeAssistant } = env;
  const { page, assertClean } = await pairedTablet(env);
  const area = (name) => page.getByRole("button", { name: new RegExp(`^${name}`) }).click();
  const press = async (entity, name, ...expected) => {
    await tile(page, entity).getByRole("button", { name }).click();
    await within(`${entity} ${name}`, (async () => {
      while (!homeAssistant.calls.some((call) => call.entity === entity && call.service === expected[0])) await page.waitForTimeout(10);
    })());
    const call = homeAssistant.calls.find((one) => one.entity === entity && one.service === expected[0]);
    if (expected[1]) for (const [key, value] of Object.entries(expected[1])) assert.equal(call.data[key], value);
  };
  await area("Living Room");
  await press("scene.evening", /Activate/, "turn_on");
  await press("cover.living_blinds", "Close", "close_cover");
  await press("climate.living", "Warmer", "set_temperature", { temperature: 22 });
  await press("media_player.living", "Pause", "media_pause");
  await press("media_player.living", "Next", "media_next_track");
  await tile(page, "media_player.living").getByText("La mer").waitFor();
  await area("Kitchen");
  await press("switch.kitchen_coffee", /Coffee/, "turn_on");
  await press("fan.kitchen_hood", /^Hood/, "turn_off");
  await tile(page, "binary_sensor.kitchen_window").getByText("Open").waitFor();
  await tile(page, "sensor.kitchen_fridge").getByText("Unavailable").waitFor();
  assert.equal(await tile(page, "sensor.kitchen_fridge").getByRole("button").count(), 0);
  await area("Hall");
  await press("lock.hall_door", "Lock", "lock");
  await tile(page, "lock.hall_door").getByText("Locked").waitFor();
  assert.equal(await tile(page, "lock.hall_door").getByRole("button").count(), 0, "a wall tablet never unlocks");
  await press("input_boolean.hall_guests", /Guests/, "turn_on");
  await tile(page, "input_select.hall_mode").getByRole("button").click();
  await page.getByRole("button", { name: "Holiday" }).click();
  await tile(page, "input_select.hall_mode").getByText("Holiday").waitFor();
  assertClean();
});

test("area changes appear on the open page", async () => {
  const { daemon, areas } = env;
  const { page, id, assertClean } = await pairedTablet(env, { areaIds: [] });
  await page.getByText("No area yet").waitFor();
  await daemon.admin("PUT", `/api/clients/${id}/areas`, { areaIds: [areas.kitchen] });
  await page.getByRole("heading", { name: "Kitchen" }).waitFor();
  await tile(page, "switch.kitchen_coffee").and(page.locator('[data-state="off"]')).waitFor();
  await daemon.admin("PATCH", `/api/areas/${areas.kitchen}`, { name: "Galley" });
  await page.getByRole("heading", { name: "Galley" }).waitFor();
  await daemon.admin("PATCH", `/api/areas/${areas.kitchen}/toggle`, { isEnabled: false });
  await page.getByText("An admin has switched this area off").waitFor();
  await daemon.admin("PATCH", `/api/areas/${areas.kitchen}/toggle`, { isEnabled: true });
  await tile(page, "switch.kitchen_coffee").and(page.locator('[data-state="off"]')).waitFor();
  await daemon.admin("PUT", `/api/clients/${id}/areas`, { areaIds: [] });
  await page.getByText("No area yet").waitFor();
  assertClean();
});

test("a message covers the screen until it is confirmed", async () => {
  const { daemon } = env;
  const { page, id, assertClean } = await pairedTablet(env);
  const send = async (body) => (await daemon.admin("POST", "/api/messages", { to: { clientId: id }, body })).body.id;
  const status = async (message) =>
    (await daemon.admin("GET", "/api/messages")).body.messages.find((one) => one.id === message).status;
  const first = await send("Dinner is ready");
  await page.getByRole("alertdialog").getByText("Dinner is ready").waitFor();
  await page.locator(".on-icon").getByText("1").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("alertdialog").waitFor({ state: "detached" });
  await within("read", (async () => {
    while ((await status(first)) !== "read") await page.waitForTimeout(20);
  })());
  await page.locator(".on-icon").waitFor({ state: "detached" });

  // Messages that arrive while the tablet is offline are shown later.
  await page.goto("about:blank");
  await send("While you were away");
  await send("And another");
  await page.goto(daemon.url);
  await page.getByText("While you were away").waitFor();
  await page.getByText("and 1 more").waitFor();
  await page.getByRole("button", { name: "Got it" }).click();
  await page.getByRole("alertdialog").getByText("And another").waitFor();
  assertClean();
});

test("commands run once and report their outcome", async () => {
  const { daemon, areas } = env;
  const tablet = await pairedTablet(env, { name: "Hall wall" });
  const { page, id, assertClean } = tablet;
  const command = async (type, parameters, status = "applied") => {
    const { body } = await daemon.admin("POST", "/api/commands", { type, clientId: id, parameters });
    const given = body.commands ? body.commands[0] : body;
    return within(`${type} ${status}`, (async () => {
      for (;;) {
        const found = (await daemon.admin("GET", `/api/commands/${given.id}`)).body;
        if (found.result) return assert.equal(found.status, status, JSON.stringify(found)), found;
        await page.waitForTimeout(20);
      }
    })());
  };
  await command("identify");
  await page.locator(".identity").getByText("Hall wall").waitFor();
  await page.keyboard.press("Escape");
  await command("navigate", { areaId: areas.kitchen });
  await page.getByRole("heading", { name: "Kitchen" }).waitFor();
  await command("navigate", { areaId: "area_nowhere" }, "failed");
  await command("screen_off");
  await page.locator(".darkness").waitFor();
  // The touch that wakes the screen must not press a tile.
  const coffee = await tile(page, "switch.kitchen_coffee").boundingBox();
  await page.mouse.click(coffee.x + 20, coffee.y + 20);
  await page.locator(".darkness").waitFor({ state: "detached" });
  await command("screen-off");
  await command("screen_on");
  await page.locator(".darkness").waitFor({ state: "detached" });
  assert.deepEqual(env.homeAssistant.calls, []);
  await command("brightness", { level: 40 });
  assert.equal(await page.locator(".dimmer").evaluate((element) => element.style.opacity), "0.6");
  await command("brightness", { level: 100 });
  await command("configure", { help: false });
  await page.getByRole("button", { name: "Ask for help" }).waitFor({ state: "detached" });
  const refused = await command("speak", { text: "" }, "failed");
  assert.match(refused.result.error, /text/);
  // Replaces speech synthesis, which Chromium does not have without a sound card.
  await page.evaluate(() => {
    const speak = (utterance) => {
      window.spoken = utterance.text;
      setTimeout(() => utterance.onend(), 0);
    };
    Object.defineProperty(window, "speechSynthesis", { value: { speak } });
  });
  await command("speak", { text: "Somebody is at the door" });
  assert.equal(await page.evaluate(() => window.spoken), "Somebody is at the door");
  const unknown = await command("dance", undefined, "failed");
  assert.match(unknown.result.error, /dance/);
  const loaded = next(page, "load");
  await command("reload");
  await loaded;
  await waitUntilLive(page);
  assertClean();
});

test("a help request is sent, and its acknowledgement is shown", async () => {
  const { daemon } = env;
  const { page, assertClean } = await pairedTablet(env);
  await page.getByRole("button", { name: "Ask for help" }).click();
  await page.getByRole("button", { name: "I need a hand" }).click();
  await page.getByRole("textbox").fill("The ladder");
  await page.getByRole("dialog").getByRole("button", { name: "Ask for help" }).click();
  await page.getByText("Somebody will see it").waitFor();
  const { body } = await daemon.admin("GET", "/api/help");
  assert.deepEqual(body.helpRequests.map(({ category, note }) => [category, note]), [["hand", "The ladder"]]);
  await daemon.admin("PATCH", `/api/help/${body.helpRequests[0].id}`, { status: "acknowledged" });
  await page.getByText("Somebody is on it").waitFor();
  assertClean();
});

test("a revoked tablet shows it, deletes its data and can be paired again", async () => {
  const { daemon } = env;
  const { page, id, assertClean } = await pairedTablet(env);
  await daemon.admin("POST", `/api/clients/${id}/revoke`, {});
  await page.getByRole("heading", { name: "This tablet was removed" }).waitFor();
  assert.equal(await page.locator(".tile").count(), 0);
  await page.reload();
  await page.getByRole("heading", { name: "This tablet was removed" }).waitFor();
  const code = await page.getByTestId("code").textContent();
  await daemon.admin("POST", `/api/pairing/requests/${code}/approve`, { clientId: id });
  await waitUntilLive(page);
  assertClean(/401/);
});

test("an expired access is shown as expired", async () => {
  const { page, context } = await pairedTablet(env);
  await context.clearCookies();
  await page.reload();
  await page.getByRole("heading", { name: "This tablet’s access has expired" }).waitFor();
  await page.getByTestId("code").waitFor();
});

test("the app works over server-sent events when WebSockets are blocked", async () => {
  const { daemon, homeAssistant } = env;
  const { page, context } = await openTablet(env);
  await context.addInitScript(() => {
    window.WebSocket = class {
      constructor() {
        setTimeout(() => this.onclose && this.onclose({ code: 1006, reason: "" }), 0);
      }
      close() {}
    };
  });
  const { body } = await daemon.admin("POST", "/api/pairing/codes", { name: "Streaming", areaIds: [env.areas.hall] });
  await page.goto(`${daemon.url}/pair#${body.code}`);
  await waitUntilLive(page);
  const guests = tile(page, "input_boolean.hall_guests");
  await guests.locator("button.face").click();
  await guests.and(page.locator('[data-state="on"]:not(.is-wished)')).waitFor();
  assert.equal(homeAssistant.stateOf("input_boolean.hall_guests"), "on");
  const info = await daemon.admin("GET", "/api/websocket/info");
  assert.deepEqual(info.body.data.clients.filter(({ role }) => role === "client").map(({ dialect }) => dialect), ["sse"]);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByText("by event stream").waitFor();
});

test("language follows the browser, and a chosen theme is kept", async () => {
  const { page, assertClean } = await pairedTablet(env, { locale: "de-AT" });
  assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
  await page.getByRole("button", { name: "Einstellungen" }).click();
  await page.getByLabel("Hell und dunkel").selectOption("dark");
  await page.locator("html[data-theme=dark]").waitFor();
  await page.reload();
  await waitUntilLive(page);
  await page.locator("html[data-theme=dark]").waitFor();
  await page.getByRole("button", { name: "Einstellungen" }).click();
  await page.getByLabel("Sprache").selectOption("en");
  await waitUntilLive(page);
  await page.getByRole("button", { name: "Settings" }).waitFor();
  assertClean();
});

test("a deactivated tablet shows it and works again after activation", async () => {
  const { daemon } = env;
  const { page, id } = await pairedTablet(env);
  await daemon.admin("PATCH", `/api/clients/${id}`, { isActive: false });
  await page.getByRole("heading", { name: "This tablet is switched off" }).waitFor();
  await daemon.admin("PATCH", `/api/clients/${id}`, { isActive: true });
  await page.reload();
  await waitUntilLive(page);
});

test("a killed daemon makes tiles stale, and a restart updates them", async () => {
  const { daemon, homeAssistant } = env;
  const { page } = await pairedTablet(env, { areaIds: [env.areas.living] });
  daemon.child.kill("SIGKILL");
  await page.locator(".home.is-stale").waitFor();
  await page.getByText("Connection lost").waitFor();
  // A tile that is pressed while offline shows an error.
  await tile(page, "light.living_shelf").locator("button.face").click();
  await page.locator(".toast").getByText("Not connected").waitFor();
  homeAssistant.set("light.living_shelf", "off");
  await daemon.restart("SIGKILL");
  await waitUntilLive(page);
  await tile(page, "light.living_shelf").and(page.locator('[data-state="off"]')).waitFor();
});

test("a clock jump detects a dead connection and skips outdated states", async (t) => {
  const { daemon, areas, homeAssistant } = env;
  const proxy = await startProxy(t, daemon);
  const { page } = await pairedTablet(env, { url: proxy.url, areaIds: [areas.kitchen] });
  await page.clock.install();
  await page.evaluate(() => {
    window.seen = [];
    const watch = () => window.seen.push(document.querySelector("h1").textContent);
    new MutationObserver(watch).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  // Simulates sleep: no traffic and no timers, while states change.
  await page.clock.pauseAt(Date.now() + 60_000);
  proxy.blockTraffic();
  for (const name of ["One", "Two", "Three"]) await daemon.admin("PATCH", `/api/areas/${areas.kitchen}`, { name });
  homeAssistant.set("switch.kitchen_coffee", "on");
  await page.clock.fastForward("08:00:00");
  await page.clock.resume();
  // The heading is behind the clock that an idle tablet shows.
  await page.locator("h1", { hasText: "Three" }).waitFor();
  await waitUntilLive(page);
  await tile(page, "switch.kitchen_coffee").and(page.locator('[data-state="on"]')).waitFor();
  const seen = await page.evaluate(() => window.seen);
  assert.ok(seen.includes("Three") && !seen.includes("One") && !seen.includes("Two"), seen.join());
});

test("the app opens from its cache while offline", async () => {
  const { daemon } = env;
  const { page, context } = await pairedTablet(env);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.reload();
  await waitUntilLive(page);
  await context.setOffline(true);
  daemon.child.kill("SIGKILL");
  await daemon.exited;
  await page.locator(".home.is-stale").waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Connecting" }).waitFor();
  await context.setOffline(false);
  await daemon.restart("SIGKILL");
  await waitUntilLive(page);
});

test("the app can be used with the keyboard alone", async () => {
  const { homeAssistant } = env;
  const { page } = await pairedTablet(env, { areaIds: [env.areas.kitchen, env.areas.hall] });
  const at = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") || document.activeElement.textContent.trim());
  const reach = async (pattern) => {
    for (let step = 0; step < 40; step += 1) {
      if (pattern.test(await at())) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`the keyboard never reached ${pattern}`);
  };
  await reach(/^Kitchen/);
  await page.keyboard.press("Enter");
  await reach(/Coffee Machine/);
  await page.keyboard.press("Space");
  await tile(page, "switch.kitchen_coffee").and(page.locator('[data-state="on"]:not(.is-wished)')).waitFor();
  await reach(/More of Hood/);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  // A dialog keeps the focus, and Escape returns it.
  for (let step = 0; step < 6; step += 1) {
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.querySelector("[role=dialog]").contains(document.activeElement)));
  }
  await page.keyboard.press("Escape");
  assert.match(await at(), /More of Hood/);
  await page.keyboard.press("Shift+Tab");
  assert.equal(homeAssistant.stateOf("switch.kitchen_coffee"), "on");
});
