// Which users of a real Home Assistant are admins of Wallcast (docs/protocol.md#ingress).

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { next, pair } from "../e2e/support.mjs";
import { eventually, makeUser } from "./core.mjs";
import { recordMessages, startApp, startHome, waitForHomeAssistant } from "./home.mjs";

/** Wallcast caches a user's permissions for a minute, and checks open sessions again every minute. */
const TWO_MINUTES = 130_000;

let home;
before(async () => (home = await startHome()));
after(() => home?.close());

/** Starts a daemon and waits until Home Assistant is connected. */
async function connected(t) {
  const daemon = await startApp(t, home);
  await waitForHomeAssistant(daemon, "connected");
  return daemon;
}

async function owner() {
  const users = await home.command("config/auth/list");
  return users.find(({ is_owner }) => is_owner);
}

test("the owner and an administrator can use the API, the page and the socket", async (t) => {
  const daemon = await connected(t);
  for (const user of [await owner(), await makeUser(home.core, "Cora", "system-admin")]) {
    const panel = await home.browser(user);
    const page = await panel.ask("GET", "/", undefined, { accept: "text/html" });
    assert.equal(page.status, 200, page.text);
    assert.match(page.headers["content-security-policy"], /frame-ancestors 'self'/);
    const made = await panel.ask("POST", "/api/areas", { name: `${user.name}'s` });
    assert.equal(made.status, 201, made.text);
    const audit = (await panel.ask("GET", "/api/audit?limit=5")).body;
    assert.ok(JSON.stringify(audit).includes(user.id), "the audit names the user");
    const socket = panel.open("/ws");
    t.after(() => socket.terminate());
    const admin = await recordMessages(socket);
    assert.equal(admin.of("connection")[0].role, "admin");
    await panel.ask("DELETE", `/api/areas/${made.body.id}`);
    await admin.waitFor("the area's end", ({ type }) => type === "area_removed");
    const own = `http://127.0.0.1:${home.port}`;
    assert.equal((await panel.ask("GET", "/api/areas", undefined, { origin: own })).status, 200);
    const evil = { origin: "https://evil.example" };
    assert.equal((await panel.ask("GET", "/api/areas", undefined, evil)).status, 403);
  }
  assert.equal((await pair(daemon, "Wall", [])).token.split(".").length, 3);
});

test("other users are refused with an explanation", async (t) => {
  const daemon = await connected(t);
  const assertRefused = async (panel, why) => {
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
  await assertRefused(await home.browser(await makeUser(home.core, "Ben", "system-users")), "a user");
  await assertRefused(
    await home.browser(await makeUser(home.core, "Rita", "system-read-only")),
    "a read-only user",
  );
  await assertRefused(await home.browser({}), "no user");
  await assertRefused(await home.browser({ id: "0".repeat(32), name: "Ghost" }), "an unknown user");
  const forged = await home.browser(await makeUser(home.core, "Mallory", "system-users"));
  const { id } = await owner();
  for (const name of ["X-Remote-User-Id", "x-remote-user-id", "X-REMOTE-USER-ID", "X-Remote-User-ID"]) {
    for (const more of [{}, { "x-forwarded-for": "::1" }]) {
      const asOwner = await forged.ask("GET", "/api/areas", undefined, { [name]: id, ...more });
      assert.equal(asOwner.status, 403, `a forged identity, spelled ${name}`);
    }
  }
  const socket = forged.open("/ws", { "x-remote-user-id": id });
  t.after(() => socket.terminate());
  socket.on("message", (text) => assert.fail(`a forged identity: ${text}`));
  await next(socket, "close");

  const inactive = await makeUser(home.core, "Ida", "system-admin");
  await home.command("config/auth/update", { user_id: inactive.id, is_active: false });
  await assertRefused(await home.browser(inactive), "a deactivated user");

  const direct = await new Promise((resolve, reject) => {
    const headers = { "x-remote-user-id": id };
    const port = daemon.ingressPort;
    http.get({ host: "127.0.0.1", port, path: "/api/areas", headers }, resolve).on("error", reject);
  });
  direct.resume();
  assert.equal(direct.statusCode, 403, "a peer that is not Supervisor");
});

test("a user who is no longer an admin loses open sessions", async (t) => {
  await connected(t);
  const users = [];
  for (const name of ["Dora", "Emil", "Finn"]) users.push(await makeUser(home.core, name, "system-admin"));
  const [demoted, deactivated, kept] = users;
  const open = async (user) => {
    const panel = await home.browser(user);
    const socket = panel.open("/ws");
    t.after(() => socket.terminate());
    const closed = new Promise((resolve) => socket.once("close", resolve));
    return { panel, closed, admin: await recordMessages(socket) };
  };
  const [one, two, three] = await Promise.all([demoted, deactivated, kept].map(open));
  const started = performance.now();
  await home.command("config/auth/update", { user_id: demoted.id, group_ids: ["system-users"] });
  await home.command("config/auth/update", { user_id: deactivated.id, is_active: false });
  for (const { panel } of [one, two]) {
    const refused = async () => (await panel.ask("GET", "/api/areas")).status === 403;
    await eventually("the refusal", refused, TWO_MINUTES);
  }
  await Promise.all([one.closed, two.closed]);
  t.diagnostic(`closed after ${Math.round((performance.now() - started) / 1000)} s`);
  assert.equal((await three.panel.ask("GET", "/api/areas")).status, 200);
  await three.admin.settle();
});

test("during an outage cached permissions apply and other users are refused", async (t) => {
  t.after(() => home.reconnectCore());
  const daemon = await connected(t);
  const panel = await home.browser(await owner());
  assert.equal((await panel.ask("GET", "/api/areas")).status, 200);
  await home.disconnectCore();
  await waitForHomeAssistant(daemon, "disconnected");
  assert.equal((await panel.ask("GET", "/api/areas")).status, 200);
  await daemon.restart("SIGTERM");
  const refused = await panel.ask("GET", "/", undefined, { accept: "text/html" });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /<h1>No entry/);
  await home.reconnectCore();
  await eventually("the access", async () => {
    return (await panel.ask("GET", "/api/areas")).status === 200;
  });
});
