// The stand-in Supervisor behaves as the real one, on which the other tests depend.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { WebSocketServer } from "ws";

import { next, within } from "../e2e/support.mjs";
import { makeUser } from "./core.mjs";
import { startHome } from "./home.mjs";

let home;
before(async () => {
  home = await startHome();
  console.log(`# Home Assistant Core ${home.core.version}, started in ${home.core.startedInMs} ms`);
});
after(() => home?.close());

test("an app opens Core's WebSocket API with its own token", async (t) => {
  const app = await home.openSessionAsApp();
  t.after(() => app.close());
  assert.equal(app.version, home.core.version);
  const states = await app.command("get_states");
  assert.ok(states.some(({ entity_id }) => entity_id === "light.bed_light"));
  await assert.rejects(app.command("supervisor/api", {}), { code: "unauthorized" });
  await assert.rejects(app.command("hassio/update", {}), { code: "unauthorized" });
  await assert.rejects(home.openSessionAsApp("wrong"), /Invalid access/);
});

test("Core's REST API is open to the app only, and its hassio paths to nobody", async () => {
  const authorization = `Bearer ${home.token}`;
  const { body } = await home.ask("GET", "/core/api/config", { authorization });
  assert.equal(body.location_name, "House");
  const fired = await home.ask("POST", "/core/api/events/plain", { authorization }, { a: 1 });
  assert.deepEqual(fired.body, { message: "Event plain fired." });
  assert.equal((await home.ask("GET", "/core/api/config", {})).status, 401);
  assert.equal((await home.ask("GET", "/core/api/hassio/x", { authorization })).status, 403);
  const info = await home.ask("GET", "/network/info", { authorization });
  assert.equal(info.body.result, "ok");
  assert.equal((await home.ask("GET", "/info", {})).status, 401);
});

test("the proxy responds with 502 while Core is stopped", async (t) => {
  t.after(() => home.reconnectCore());
  const app = await home.openSessionAsApp();
  await home.disconnectCore();
  await within("the close", app.end);
  await assert.rejects(home.openSessionAsApp(), /502/);
  const authorization = `Bearer ${home.token}`;
  assert.equal((await home.ask("GET", "/core/api/config", { authorization })).status, 502);
});

test("ingress forwards the user, the address and the scheme", async (t) => {
  const user = await makeUser(home.core, "Ben", "system-users");
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
  await home.setApp(`127.0.0.1:${app.address().port}`);

  const panel = await home.browser(user);
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
  // Supervisor drops a forged identity header only in its exact letter case. In another case, its HTTP client lets
  // it replace the real one. Only the letter case shows the difference.
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
  const unauthenticated = await home.ask("GET", `${panel.base}/`, { cookie: "ingress_session=none" });
  assert.equal(unauthenticated.status, 401);
});
