// A house with a daemon and tablets as people have them: windows that show the tablet's app.

import { createHash } from "node:crypto";
import { after, afterEach, before } from "node:test";
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
    const body = { name, entityIds: house.entityIds(key) };
    areas[key] = (await daemon.admin("POST", "/api/areas", body)).body.id;
  }
  const browser = await startBrowser(t, [`--ignore-certificate-errors-spki-list=${await keyOf(daemon)}`]);
  return { house, daemon, areas, browser };
}

/** One house for all tests of a file, which is as it was before each: starting one takes seconds. */
export function shareAll(options) {
  const all = { windows: [] };
  const ends = [];
  before(async () => {
    Object.assign(all, await startAll({ after: (end) => ends.push(end) }, options));
  });
  afterEach(async () => {
    for (const { context } of all.windows.splice(0)) await context.close();
    const { requests } = (await all.daemon.admin("GET", "/api/pairing/requests")).body;
    for (const { pairingId, status } of requests) {
      if (status === "pending") await all.daemon.admin("POST", `/api/pairing/requests/${pairingId}/deny`, {});
    }
    for (const [key, id] of Object.entries(all.areas)) {
      await all.daemon.admin("PATCH", `/api/areas/${id}`, { name: all.house.areas[key], isEnabled: true });
    }
    all.house.reset();
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return all;
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
export async function openTablet({ browser, daemon, windows = [] }, { path = "/", url = daemon.url, ...options } = {}) {
  const tablet = await openWindow(browser, { ignoreHTTPSErrors: false, ...options });
  windows.push(tablet);
  await tablet.page.goto(url + path);
  return tablet;
}

/** A window that was paired with an admin's code, at home; `id` is the client's. */
export async function pairedTablet(all, { name = "Kitchen wall", areaIds, ...options } = {}) {
  const { daemon, areas } = all;
  const offered = { name, areaIds: areaIds ?? Object.values(areas) };
  const { body } = await daemon.admin("POST", "/api/pairing/codes", offered);
  const tablet = await openTablet(all, { path: `/pair#${body.code}`, ...options });
  await tablet.page.locator(".home.is-live:not(.is-stale)").waitFor();
  const { body: found } = await daemon.admin("GET", "/api/clients");
  const own = found.clients.filter((client) => client.name === name && client.isOnline);
  tablet.id = own[own.length - 1].id;
  return tablet;
}

/** The tile of an entity. */
export const tile = (page, entityId) => page.locator(`[data-entity="${entityId}"]`);
