// Every screen of the tablet's app: axe finds nothing, the console says nothing, and with
// WALLCAST_SHOTS=FOLDER a picture of each is kept, in three sizes.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { violations } from "./browser.mjs";
import { openTablet, pairedTablet, startAll, tile } from "./tablet.mjs";

const SHOTS = process.env.WALLCAST_SHOTS;
const SIZES = {
  phone: { width: 390, height: 844 },
  tablet: { width: 1280, height: 800 },
  desktop: { width: 1680, height: 1050 },
};
/** Without pictures one size does: what axe looks at is the same in all. */
const LOOKS = SHOTS ? Object.keys(SIZES) : ["tablet"];

/** Colours are what they will be once nothing moves. */
async function settled(page) {
  await page.evaluate(() => {
    const ending = document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity);
    return Promise.all(ending.map((one) => one.finished.catch(() => {})));
  });
}

async function look(page, name, size) {
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.locator(`html[data-theme=${colorScheme}]`).waitFor();
    await settled(page);
    if (SHOTS) {
      await mkdir(SHOTS, { recursive: true });
      await page.screenshot({ path: path.join(SHOTS, `${name}-${size}-${colorScheme}.png`) });
    }
    // What is not a colour is the same in both.
    const rules = colorScheme === "dark" ? ["color-contrast"] : undefined;
    assert.deepEqual(await violations(page, rules), [], `${name}, ${size}, ${colorScheme}`);
  }
}

for (const size of LOOKS) {
  test(`every screen, light and dark: ${size}`, async (t) => {
    const all = await startAll(t);
    const { daemon, areas } = all;
    const options = { viewport: SIZES[size] };
    const see = (page, name) => look(page, name, size);

    const stranger = await openTablet(all, options);
    await stranger.page.getByTestId("code").waitFor();
    await see(stranger.page, "01-pair");
    await stranger.page.getByRole("textbox").fill("123456");
    await stranger.page.locator(".error").waitFor();
    await see(stranger.page, "02-pair-wrong-code");
    const { body } = await daemon.admin("GET", "/api/pairing/requests");
    await daemon.admin("POST", `/api/pairing/requests/${body.requests[0].code}/deny`, { reason: "Not this one" });
    await stranger.page.getByRole("button", { name: "Show a new code" }).waitFor();
    await see(stranger.page, "03-pair-denied");
    stranger.assertClean(/401/);
    await stranger.context.close();

    const { page, id, assertClean } = await pairedTablet(all, { name: "Living room wall", ...options });
    const area = (name) => page.getByRole("button", { name: new RegExp(`^${name}`) }).click();
    await area("Living Room");
    await tile(page, "light.living_ceiling").getByText("70 %").waitFor();
    await see(page, "10-living");
    await tile(page, "light.living_ceiling").getByRole("button", { name: /More/ }).click();
    await see(page, "11-light");
    await page.keyboard.press("Escape");
    await area("Kitchen");
    await see(page, "12-kitchen");
    await area("Hall");
    await see(page, "13-hall");
    await tile(page, "input_select.hall_mode").getByRole("button").click();
    await see(page, "14-options");
    await page.keyboard.press("Escape");

    await page.getByRole("button", { name: "Ask for help" }).click();
    await see(page, "20-help");
    await page.getByRole("dialog").getByRole("button", { name: "Ask for help" }).click();
    await page.getByText("Somebody will see it").waitFor();
    await see(page, "21-help-asked");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Settings" }).click();
    await see(page, "22-settings");
    await page.keyboard.press("Escape");

    const say = (text, level) => daemon.admin("POST", "/api/messages", { to: { clientId: id }, body: text, level });
    await say("Dinner is ready in ten minutes.");
    await page.getByRole("alertdialog").waitFor();
    await see(page, "30-message");
    await say("Somebody left the garage open.", "warning");
    await page.getByText("and 1 more").waitFor();
    await page.getByRole("button", { name: "Got it" }).click();
    await page.getByText("garage").waitFor();
    await see(page, "31-warning");
    await page.getByRole("button", { name: "Got it" }).click();
    await page.getByRole("alertdialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Messages" }).click();
    await see(page, "32-messages");
    await page.keyboard.press("Escape");

    const command = (type, parameters) => daemon.admin("POST", "/api/commands", { type, clientId: id, parameters });
    await command("identify");
    await page.getByText("This is").waitFor();
    await see(page, "40-identify");
    await page.keyboard.press("Escape");
    await page.clock.install();
    await command("configure", { saverMinutes: 1 });
    await page.clock.fastForward("02:00");
    await page.locator(".saver").waitFor();
    await see(page, "41-saver");
    await page.clock.resume();
    await page.keyboard.press("Shift");
    await page.locator(".saver").waitFor({ state: "detached" });

    await area("Living Room");
    await daemon.admin("PATCH", `/api/areas/${areas.living}/toggle`, { isEnabled: false });
    await page.getByText("An admin has switched this area off").waitFor();
    await see(page, "50-area-off");
    await daemon.admin("PATCH", `/api/areas/${areas.living}/toggle`, { isEnabled: true });
    await tile(page, "light.living_ceiling").getByText("70 %").waitFor();
    await page.context().setOffline(true);
    daemon.child.kill("SIGSTOP");
    await page.locator(".is-stale").waitFor();
    await see(page, "51-lost");
    daemon.child.kill("SIGCONT");
    await page.context().setOffline(false);
    await page.locator(".home.is-live:not(.is-stale)").waitFor();

    await daemon.admin("PUT", `/api/clients/${id}/areas`, { areaIds: [] });
    await page.getByText("No area yet").waitFor();
    await see(page, "52-no-areas");
    await daemon.admin("POST", `/api/clients/${id}/revoke`, {});
    await page.getByText("This tablet was removed").waitFor();
    await page.getByTestId("code").waitFor();
    await see(page, "60-revoked");
    // A browser says of itself that a request failed while the house was away.
    assertClean(/ERR_INTERNET_DISCONNECTED|ERR_|WebSocket connection|401/);
  });
}
