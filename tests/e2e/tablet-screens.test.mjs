// Checks every screen of the tablet app: no axe violations and no console errors. With WALLCAST_SHOTS=FOLDER it also
// saves a screenshot of each, in three sizes.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { violations } from "./browser.mjs";
import { openTablet, pairedTablet, startEnvironment, tile } from "./tablet.mjs";

const SCREENSHOTS = process.env.WALLCAST_SHOTS;
const SIZES = {
  phone: { width: 390, height: 844 },
  tablet: { width: 1280, height: 800 },
  desktop: { width: 1680, height: 1050 },
};
/** Without screenshots one size is enough, because axe finds the same in all sizes. */
const TESTED_SIZES = SCREENSHOTS ? Object.keys(SIZES) : ["tablet"];

/** Waits for the end of animations, because they change colours. */
async function waitForAnimations(page) {
  await page.evaluate(() => {
    const ending = document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity);
    return Promise.all(ending.map((one) => one.finished.catch(() => {})));
  });
}

async function checkScreen(page, name, size) {
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.locator(`html[data-theme=${colorScheme}]`).waitFor();
    await waitForAnimations(page);
    if (SCREENSHOTS) {
      await mkdir(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: path.join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) });
    }
    // Other rules than contrast give the same result in both colour schemes.
    const rules = colorScheme === "dark" ? ["color-contrast"] : undefined;
    assert.deepEqual(await violations(page, rules), [], `${name}, ${size}, ${colorScheme}`);
  }
}

for (const size of TESTED_SIZES) {
  test(`every screen on a ${size} is accessible in light and dark`, async (t) => {
    const env = await startEnvironment(t);
    const { daemon, areas } = env;
    const options = { viewport: SIZES[size] };
    const check = (page, name) => checkScreen(page, name, size);

    const unpaired = await openTablet(env, options);
    await unpaired.page.getByTestId("code").waitFor();
    await check(unpaired.page, "01-pair");
    await unpaired.page.getByRole("textbox").fill("123456");
    await unpaired.page.locator(".error").waitFor();
    await check(unpaired.page, "02-pair-wrong-code");
    const { body } = await daemon.admin("GET", "/api/pairing/requests");
    await daemon.admin("POST", `/api/pairing/requests/${body.requests[0].code}/deny`, { reason: "Not this one" });
    await unpaired.page.getByRole("button", { name: "Show a new code" }).waitFor();
    await check(unpaired.page, "03-pair-denied");
    unpaired.assertClean(/401/);
    await unpaired.context.close();

    const { page, id, assertClean } = await pairedTablet(env, { name: "Living room wall", ...options });
    const area = (name) => page.getByRole("button", { name: new RegExp(`^${name}`) }).click();
    await area("Living Room");
    await tile(page, "light.living_ceiling").getByText("70 %").waitFor();
    await check(page, "10-living");
    await tile(page, "light.living_ceiling").getByRole("button", { name: /More/ }).click();
    await check(page, "11-light");
    await page.keyboard.press("Escape");
    await area("Kitchen");
    await check(page, "12-kitchen");
    await area("Hall");
    await check(page, "13-hall");
    await tile(page, "input_select.hall_mode").getByRole("button").click();
    await check(page, "14-options");
    await page.keyboard.press("Escape");

    await page.getByRole("button", { name: "Ask for help" }).click();
    await check(page, "20-help");
    await page.getByRole("dialog").getByRole("button", { name: "Ask for help" }).click();
    await page.getByText("Somebody will see it").waitFor();
    await check(page, "21-help-asked");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Settings" }).click();
    await check(page, "22-settings");
    await page.keyboard.press("Escape");

    const sendMessage = (text, level) => daemon.admin("POST", "/api/messages", { to: { clientId: id }, body: text, level });
    await sendMessage("Dinner is ready in ten minutes.");
    await page.getByRole("alertdialog").waitFor();
    await check(page, "30-message");
    await sendMessage("Somebody left the garage open.", "warning");
    await page.getByText("and 1 more").waitFor();
    await page.getByRole("button", { name: "Got it" }).click();
    await page.getByText("garage").waitFor();
    await check(page, "31-warning");
    await page.getByRole("button", { name: "Got it" }).click();
    await page.getByRole("alertdialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Messages" }).click();
    await check(page, "32-messages");
    await page.keyboard.press("Escape");

    const command = (type, parameters) => daemon.admin("POST", "/api/commands", { type, clientId: id, parameters });
    await command("identify");
    await page.getByText("This is").waitFor();
    await check(page, "40-identify");
    await page.keyboard.press("Escape");
    await page.clock.install();
    await command("configure", { saverMinutes: 1 });
    await page.clock.fastForward("02:00");
    await page.locator(".saver").waitFor();
    await check(page, "41-saver");
    await page.clock.resume();
    await page.keyboard.press("Shift");
    await page.locator(".saver").waitFor({ state: "detached" });

    await area("Living Room");
    await daemon.admin("PATCH", `/api/areas/${areas.living}/toggle`, { isEnabled: false });
    await page.getByText("An admin has switched this area off").waitFor();
    await check(page, "50-area-off");
    await daemon.admin("PATCH", `/api/areas/${areas.living}/toggle`, { isEnabled: true });
    await tile(page, "light.living_ceiling").getByText("70 %").waitFor();
    await page.context().setOffline(true);
    daemon.child.kill("SIGSTOP");
    await page.locator(".is-stale").waitFor();
    await check(page, "51-lost");
    daemon.child.kill("SIGCONT");
    await page.context().setOffline(false);
    await page.locator(".home.is-live:not(.is-stale)").waitFor();

    await daemon.admin("PUT", `/api/clients/${id}/areas`, { areaIds: [] });
    await page.getByText("No area yet").waitFor();
    await check(page, "52-no-areas");
    await daemon.admin("POST", `/api/clients/${id}/revoke`, {});
    await page.getByText("This tablet was removed").waitFor();
    await page.getByTestId("code").waitFor();
    await check(page, "60-revoked");
    // The browser logs requests that failed while the daemon was unreachable.
    assertClean(/ERR_INTERNET_DISCONNECTED|ERR_|WebSocket connection|401/);
  });
}
