// A house with an admin's window, for the tests of the admin's page.

import { openWindow, startBrowser } from "./browser.mjs";
import { startIngress } from "./ingress.mjs";
import { startDaemon } from "./support.mjs";

const OPTIONS = {
  WALLCAST_INGRESS_LISTEN: "127.0.0.1:0",
  WALLCAST_INGRESS_FROM: "127.0.0.1",
  WALLCAST_INGRESS_VERIFY_ADMIN: "false",
};

/** A daemon, its ingress and a browser. */
export async function startHouse(t) {
  const daemon = await startDaemon(t, OPTIONS);
  const [ingress, browser] = [await startIngress(t, daemon), await startBrowser(t)];
  return { daemon, ingress, browser };
}

/** An admin's window on 8443, signed in by the form. */
export async function signIn(house, options) {
  const own = await openWindow(house.browser, options);
  await own.page.goto(`${house.daemon.url}/admin/`);
  await own.page.getByLabel("Admin token").fill(house.daemon.adminToken);
  await own.page.getByRole("button", { name: "Sign in" }).click();
  await isLive(own.page);
  return own;
}

/** An admin's window through Home Assistant. */
export async function openIngress(house, options) {
  const own = await openWindow(house.browser, options);
  await own.page.goto(house.ingress.url);
  await isLive(own.page);
  return own;
}

export async function isLive(page) {
  await page.locator('html[data-link="live"]').waitFor({ state: "attached" });
}

/** Goes to a place of the page and waits until it is drawn. */
export async function visit(page, place) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#${place}`);
  await page.locator("main h1").waitFor();
  await page.locator(".loading").first().waitFor({ state: "detached" });
}

/** What the browser says when nobody is signed in yet: the page has to ask to find out. */
export const ASKED_WHO = /status of 401.*\/api\/me$/;
