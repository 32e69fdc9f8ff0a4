// The environment for tests of the admin page: a daemon, its ingress, a browser and an admin's window.

import { openWindow, startBrowser } from "./browser.mjs";
import { startIngress } from "./ingress.mjs";
import { startDaemon } from "./support.mjs";

const OPTIONS = {
  WALLCAST_INGRESS_LISTEN: "127.0.0.1:0",
  WALLCAST_INGRESS_FROM: "127.0.0.1",
  WALLCAST_INGRESS_VERIFY_ADMIN: "false",
};

/** Starts a daemon, its ingress and a browser. The end of the test stops them. */
export async function startEnvironment(t) {
  const daemon = await startDaemon(t, OPTIONS);
  const [ingress, browser] = [await startIngress(t, daemon), await startBrowser(t)];
  return { daemon, ingress, browser };
}

/** Opens a window of the admin page on the public listener, and signs in with the form. */
export async function signIn(env, options) {
  const own = await openWindow(env.browser, options);
  await own.page.goto(`${env.daemon.url}/admin/`);
  await own.page.getByLabel("Admin token").fill(env.daemon.adminToken);
  await own.page.getByRole("button", { name: "Sign in" }).click();
  await isLive(own.page);
  return own;
}

/** Opens a window of the admin page through Home Assistant's ingress. */
export async function openIngress(env, options) {
  const own = await openWindow(env.browser, options);
  await own.page.goto(env.ingress.url);
  await isLive(own.page);
  return own;
}

export async function isLive(page) {
  await page.locator('html[data-link="live"]').waitFor({ state: "attached" });
}

/** Opens a page of the admin page by its hash, and waits until it is loaded. */
export async function visit(page, pageName) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#${pageName}`);
  await page.locator("main h1").waitFor();
  await page.locator(".loading").first().waitFor({ state: "detached" });
}

/** The browser's error message when nobody is signed in yet: the page requests /api/me to find out. */
export const SIGN_IN_CHECK = /status of 401.*\/api\/me$/;
