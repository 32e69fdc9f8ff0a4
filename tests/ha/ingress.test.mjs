// Who of a real Home Assistant's users is an admin here (contract section 2).

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { next, pair } from "../e2e/support.mjs";
import { eventually, makeUser } from "./core.mjs";
import { homeIs, listening, startApp, startHouse } from "./house.mjs";

/** An answer about a user counts for a minute, and open sessions are asked again each minute. */
const TWO_MINUTES = 130_000;

let house;
before(async () => (house = await startHouse()));
after(() => house?.close());

/** A daemon that Home Assistant is there for. */
async function connected(t) {
  const daemon = await startApp(t, house);
  await homeIs(daemon, "connected");
  return daemon;
}

async function owner() {
  const users = await house.command("config/auth/list");
  return users.find(({ is_owner }) => is_owner);
}

test("the owner and an administrator pass, with the API, the page and the socket", async (t) => {
  const daemon = await connected(t);
  for (const user of [await owner(), await makeUser(house.core, "Cora", "system-admin")]) {
    const panel = await house.browser(user);
    const page = await panel.ask("GET", "/", undefined, { accept: "text/html" });
    assert.equal(page.status, 200, page.text);
    assert.match(page.headers["content-security-policy"], /frame-ancestors 'self'/);
    const made = await panel.ask("POST", "/api/areas", { name: `${user.name}'s` });
    assert.equal(made.status, 201, made.text);
    const audit = (await panel.ask("GET", "/api/audit?limit=5")).body;
    assert.ok(JSON.stringify(audit).includes(user.id), "the audit says which user it was");
    const socket = panel.open("/ws");
    t.after(() => socket.terminate());
    const admin = await listening(socket);
    assert.equal(admin.of("connection")[0].role, "admin");
    await panel.ask("DELETE", `/api/areas/${made.body.id}`);
    await admin.heard("the area's end", ({ type }) => type === "area_removed");
    const own = `http://127.0.0.1:${house.port}`;
    assert.equal((await panel.ask("GET", "/api/areas", undefined, { origin: own })).status, 200);
    const evil = { origin: "https://evil.example" };
    assert.equal((await panel.ask("GET", "/api/areas", undefined, evil)).status, 403);
  }
  assert.equal((await pair(daemon, "Wall", [])).token.split(".").length, 3);
});

test("anybody else is refused, and told why on a page", async (t) => {
  const daemon = await connected(t);
  const refusedAll = async (panel, why) => {
    const page = await panel.ask("GET", "/", undefined, { accept: "text/html" });
    assert.equal(page.status, 403, why);
    assert.equal(page.headers["content-type"], "text/html");
    assert.match(page.text, /<h1>No entry/);
    const api = await panel.ask("GET", "/api/areas");
    assert.deepEqual([api.status, api.body.success], [403, false], why);
    const socket = panel.open("/ws");
    t.after(() => socket.terminate());
    socket.on("message", (text) => assert.fail(`${why}: ${text}`));
    await next(socket, "close");
  };
  await refusedAll(await house.browser(await makeUser(house.core, "Ben", "system-users")), "a user");
  await refusedAll(
    await house.browser(await makeUser(house.core, "Rita", "system-read-only")),
    "a reader",
  );
  await refusedAll(await house.browser({}), "nobody");
  await refusedAll(await house.browser({ id: "0".repeat(32), name: "Ghost" }), "a stranger");
  const forged = await house.browser(await makeUser(house.core, "Mallory", "system-users"));
  const { id } = await owner();
  for (const name of ["X-Remote-User-Id", "x-remote-user-id", "X-REMOTE-USER-ID", "X-Remote-User-ID"]) {
    for (const more of [{}, { "x-forwarded-for": "::1" }]) {
      const asOwner = await forged.ask("GET", "/api/areas", undefined, { [name]: id, ...more });
      assert.equal(asOwner.status, 403, `an identity of one's own, spelled ${name}`);
    }
  }
  const socket = forged.open("/ws", { "x-remote-user-id": id });
  t.after(() => socket.terminate());
  socket.on("message", (text) => assert.fail(`an identity of one's own: ${text}`));
  await next(socket, "close");

  const inactive = await makeUser(house.core, "Ida", "system-admin");
  await house.command("config/auth/update", { user_id: inactive.id, is_active: false });
  await refusedAll(await house.browser(inactive), "somebody deactivated");

  const direct = await new Promise((resolve, reject) => {
    const headers = { "x-remote-user-id": id };
    const port = daemon.ingressPort;
    http.get({ host: "127.0.0.1", port, path: "/api/areas", headers }, resolve).on("error", reject);
  });
  direct.resume();
  assert.equal(direct.statusCode, 403, "somebody who is not Supervisor");
});

test("whoever is made no admin any more loses what is open", async (t) => {
  await connected(t);
  const users = [];
  for (const name of ["Dora", "Emil", "Finn"]) users.push(await makeUser(house.core, name, "system-admin"));
  const [demoted, deactivated, kept] = users;
  const open = async (user) => {
    const panel = await house.browser(user);
    const socket = panel.open("/ws");
    t.after(() => socket.terminate());
    const closed = new Promise((resolve) => socket.once("close", resolve));
    return { panel, closed, admin: await listening(socket) };
  };
  const [one, two, three] = await Promise.all([demoted, deactivated, kept].map(open));
  const began = performance.now();
  await house.command("config/auth/update", { user_id: demoted.id, group_ids: ["system-users"] });
  await house.command("config/auth/update", { user_id: deactivated.id, is_active: false });
  for (const { panel } of [one, two]) {
    const refused = async () => (await panel.ask("GET", "/api/areas")).status === 403;
    await eventually("the door to close", refused, TWO_MINUTES);
  }
  await Promise.all([one.closed, two.closed]);
  t.diagnostic(`closed after ${Math.round((performance.now() - began) / 1000)} s`);
  assert.equal((await three.panel.ask("GET", "/api/areas")).status, 200);
  await three.admin.settle();
});

test("while Home Assistant is away the last answer stands, and without one the door is closed", async (t) => {
  t.after(() => house.findCore());
  const daemon = await connected(t);
  const panel = await house.browser(await owner());
  assert.equal((await panel.ask("GET", "/api/areas")).status, 200);
  await house.loseCore();
  await homeIs(daemon, "disconnected");
  assert.equal((await panel.ask("GET", "/api/areas")).status, 200);
  await daemon.restart("SIGTERM");
  const refused = await panel.ask("GET", "/", undefined, { accept: "text/html" });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /<h1>No entry/);
  await house.findCore();
  await eventually("the door to open", async () => {
    return (await panel.ask("GET", "/api/areas")).status === 200;
  });
});
