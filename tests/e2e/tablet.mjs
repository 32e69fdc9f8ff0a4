// The environment for tests of the tablet app: a stand-in for Home Assistant, a daemon, a browser and its windows.

import { createHash } from "node:crypto";
import { after, afterEach, before } from "node:test";
import tls from "node:tls";

import { openWindow, startBrowser } from "./browser.mjs";
import { startHomeAssistant } from "./home-assistant.mjs";
import { next, startDaemon } from "./support.mjs";

/** Starts a stand-in for Home Assistant, a daemon with its three areas, and a browser. `areas` has the area ids. */
export async function startEnvironment(t, options = {}) {
  const homeAssistant = await startHomeAssistant(t);
  const daemon = await startDaemon(t, { ...homeAssistant.options, ...options });
  const areas = {};
  for (const [key, name] of Object.entries(homeAssistant.areas)) {
    const body = { name, entityIds: homeAssistant.entityIds(key) };
    areas[key] = (await daemon.admin("POST", "/api/areas", body)).body.id;
  }
  const browser = await startBrowser(t, [`--ignore-certificate-errors-spki-list=${await keyOf(daemon)}`]);
  return { homeAssistant, daemon, areas, browser };
}

/** Shares one environment among all tests of a file, and resets it after each. Starting one takes seconds. */
export function shareEnvironment(options) {
  const env = { windows: [] };
  const ends = [];
  before(async () => {
    Object.assign(env, await startEnvironment({ after: (end) => ends.push(end) }, options));
  });
  afterEach(async () => {
    for (const { context } of env.windows.splice(0)) await context.close();
    const { requests } = (await env.daemon.admin("GET", "/api/pairing/requests")).body;
    for (const { pairingId, status } of requests) {
      if (status === "pending") await env.daemon.admin("POST", `/api/pairing/requests/${pairingId}/deny`, {});
    }
    for (const [key, id] of Object.entries(env.areas)) {
      await env.daemon.admin("PATCH", `/api/areas/${id}`, { name: env.homeAssistant.areas[key], isEnabled: true });
    }
    env.homeAssistant.reset();
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return env;
}

/**
 * The hash of the daemon's public key. A browser that gets it trusts the certificate, as if the CA was installed. A
 * browser that only ignores certificate errors would refuse service workers.
 */
async function keyOf(daemon) {
  const socket = tls.connect({ host: "localhost", port: daemon.port, ca: daemon.ca });
  await next(socket, "secureConnect");
  const key = socket.getPeerX509Certificate().publicKey.export({ type: "spki", format: "der" });
  socket.destroy();
  return createHash("sha256").update(key).digest("base64");
}

/** Opens a window with the tablet app. */
export async function openTablet({ browser, daemon, windows = [] }, { path = "/", url = daemon.url, ...options } = {}) {
  const tablet = await openWindow(browser, { ignoreHTTPSErrors: false, ...options });
  windows.push(tablet);
  await tablet.page.goto(url + path);
  return tablet;
}

/** Opens a window that is paired with an admin's code and shows its areas. `id` is the client id. */
export async function pairedTablet(env, { name = "Kitchen wall", areaIds, ...options } = {}) {
  const { daemon, areas } = env;
  const offered = { name, areaIds: areaIds ?? Object.values(areas) };
  const { body } = await daemon.admin("POST", "/api/pairing/codes", offered);
  const tablet = await openTablet(env, { path: `/pair#${body.code}`, ...options });
  await tablet.page.locator(".home.is-live:not(.is-stale)").waitFor();
  const { body: found } = await daemon.admin("GET", "/api/clients");
  const own = found.clients.filter((client) => client.name === name && client.isOnline);
  tablet.id = own[own.length - 1].id;
  return tablet;
}

/** The tile of an entity. */
export const tile = (page, entityId) => page.locator(`[data-entity="${entityId}"]`);
