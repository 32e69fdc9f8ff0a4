// A house with a daemon and tablets as people have them: windows that show the tablet's app.

import { createHash } from "node:crypto";
import tls from "node:tls";

import { openWindow, startBrowser } from "./browser.mjs";
import { startHouse } from "./house.mjs";
import { next, startDaemon } from "./support.mjs";

/** A stand-in house, a daemon with its three areas, and a browser. `areas` holds their ids. */
export async function startAll(t, options = {}) {
  const house = await startHouse(t);
  const daemon = await startDaemon(t, { ...house.options, ...options });
  const areas = {};
  for (const [key, name] of Object.entries(house.areas)) {
    const body = { name: `${name} `.trim(), entityIds: house.entityIds(key) };
    areas[key] = (await daemon.admin("POST", "/api/areas", body)).body.id;
  }
  const browser = await startBrowser(t, [`--ignore-certificate-errors-spki-list=${await keyOf(daemon)}`]);
  return { house, daemon, areas, browser };
}

/** The hash of the daemon's key: a browser that is told it trusts the certificate, as one does in which
 * the house's CA is installed. One that only looks away would refuse a service worker. */
async function keyOf(daemon) {
  const socket = tls.connect({ host: "localhost", port: daemon.port, ca: daemon.ca });
  await next(socket, "secureConnect");
  const key = socket.getPeerX509Certificate().publicKey.export({ type: "spki", format: "der" });
  socket.destroy();
  return createHash("sha256").update(key).digest("base64");
}

/** A window on the tablet's app. */
export async function openTablet({ browser, daemon }, { path = "/", ...options } = {}) {
  const tablet = await openWindow(browser, { ignoreHTTPSErrors: false, ...options });
  await tablet.page.goto(daemon.url + path);
  return tablet;
}

/** A window that was paired with an admin's code, at home; `id` is the client's. */
export async function pairedTablet(all, { name = "Kitchen wall", areaIds, ...options } = {}) {
  const { daemon, areas } = all;
  const offered = { name, areaIds: areaIds ?? Object.values(areas) };
  const { body } = await daemon.admin("POST", "/api/pairing/codes", offered);
  const tablet = await openTablet(all, { path: `/pair#${body.code}`, ...options });
  await tablet.page.locator(".home:not(.is-stale)").waitFor();
  const { body: found } = await daemon.admin("GET", "/api/clients");
  tablet.id = found.clients.find((client) => client.name === name).id;
  return tablet;
}

/** The tile of an entity. */
export const tile = (page, entityId) => page.locator(`[data-entity="${entityId}"]`);
