// The stand-in Supervisor against plain clients: what the other tests stand on is as Supervisor has it.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { WebSocketServer } from "ws";

import { next, within } from "../e2e/support.mjs";
import { makeUser } from "./core.mjs";
import { startHouse } from "./house.mjs";

let house;
before(async () => {
  house = await startHouse();
  console.log(`# Home Assistant Core ${house.core.version}, started in ${house.core.startedInMs} ms`);
});
after(() => house?.close());

test("an app enters Core's WebSocket API by its own token", async (t) => {
  const app = await house.enterAsApp();
  t.after(() => app.close());
  assert.equal(app.version, house.core.version);
  const states = await app.command("get_states");
  assert.ok(states.some(({ entity_id }) => entity_id === "light.bed_light"));
  await assert.rejects(app.command("supervisor/api", {}), { code: "unauthorized" });
  await assert.rejects(app.command("hassio/update", {}), { code: "unauthorized" });
  await assert.rejects(house.enterAsApp("wrong"), /Invalid access/);
});

test("REST comes through for the app alone, and Core's hassio paths for nobody", async () => {
  const authorization = `Bearer ${house.token}`;
  const { body } = await house.ask("GET", "/core/api/config", { authorization });
  assert.equal(body.location_name, "House");
  const fired = await house.ask("POST", "/core/api/events/plain", { authorization }, { a: 1 });
  assert.deepEqual(fired.body, { message: "Event plain fired." });
  assert.equal((await house.ask("GET", "/core/api/config", {})).status, 401);
  assert.equal((await house.ask("GET", "/core/api/hassio/x", { authorization })).status, 403);
  const info = await house.ask("GET", "/network/info", { authorization });
  assert.equal(info.body.result, "ok");
  assert.equal((await house.ask("GET", "/info", {})).status, 401);
});

test("while Core does not run there is no proxy", async (t) => {
  t.after(() => house.findCore());
  const app = await house.enterAsApp();
  await house.loseCore();
  await within("the end", app.end);
  await assert.rejects(house.enterAsApp(), /502/);
  const authorization = `Bearer ${house.token}`;
  assert.equal((await house.ask("GET", "/core/api/config", { authorization })).status, 502);
});

test("ingress says who comes, from where, and how", async (t) => {
  const user = await makeUser(house.core, "Ben", "system-users");
  const seen = [];
  const app = http.createServer((request, response) => {
    seen.push(Object.assign(request, { from: request.socket.remoteAddress }));
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end("<p>");
  });
  const sockets = new WebSocketServer({ server: app });
  sockets.on("connection", (socket, request) => {
    seen.push(request);
    socket.on("message", (text) => socket.send(`${text}!`));
  });
  await new Promise((resolve) => app.listen(0, "127.0.0.1", resolve));
  t.after(() => (app.close(), app.closeAllConnections()));
  await house.setApp(`127.0.0.1:${app.address().port}`);

  const panel = await house.browser(user);
  const forged = { "X-Remote-User-Id": "x", "X-Supervisor-Token": "y", "Accept-Encoding": "zstd" };
  const page = await panel.ask("GET", "/start?a=1", undefined, forged);
  assert.equal(page.headers["content-type"], "text/html");
  const [{ url, headers, from }] = seen;
  assert.equal(url, "/start?a=1");
  assert.equal(from, "127.0.0.2");
  assert.equal(headers["x-remote-user-id"], user.id);
  assert.equal(headers["x-remote-user-name"], "ben");
  assert.equal(headers["x-remote-user-display-name"], "Ben");
  assert.equal(headers["x-supervisor-token"], undefined);
  assert.equal(headers["x-ingress-path"], panel.base);
  assert.equal(headers["x-hass-source"], "core.ingress");
  assert.equal(headers["x-forwarded-for"], "127.0.0.1, 127.0.0.1");
  assert.equal(headers["x-forwarded-proto"], "http");
  assert.equal(headers["x-forwarded-host"], headers.host);
  assert.doesNotMatch(headers["accept-encoding"] ?? "", /zstd/);
  // Supervisor drops a forged identity by its exact spelling; in any other, its HTTP client lets it take
  // the genuine one's place. The spelling alone tells.
  await panel.ask("GET", "/", undefined, { "x-remote-user-id": "forged", "x-forwarded-for": "::1" });
  assert.deepEqual(seen[1].headersDistinct["x-remote-user-id"], ["forged"]);
  const spelled = (name) => seen[1].rawHeaders.filter((raw) => raw.toLowerCase() === name);
  assert.deepEqual(spelled("x-remote-user-id"), ["x-remote-user-id"]);
  assert.deepEqual(spelled("x-forwarded-for"), ["X-Forwarded-For"]);

  const socketOfPanel = panel.open("/ws");
  t.after(() => socketOfPanel.terminate());
  await next(socketOfPanel, "open");
  socketOfPanel.send("hello");
  assert.equal(String((await next(socketOfPanel, "message"))[0]), "hello!");
  assert.equal(seen[2].headers["x-remote-user-id"], user.id);
  const stranger = await house.ask("GET", `${panel.base}/`, { cookie: "ingress_session=none" });
  assert.equal(stranger.status, 401);
});
