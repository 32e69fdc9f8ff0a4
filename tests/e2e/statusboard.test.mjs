// The status board with its client example: organisations, updates, CORS, and polling as a fallback
// (docs/protocol.md#status-board).

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { io } from "socket.io-client";

import { next, startDaemon } from "./support.mjs";

const ORIGIN = "http://localhost:5173";
const membership = { organizationId: "org-456", tenantId: "tenant-789" };

async function startBoard(t) {
  const daemon = await startDaemon(t, { WALLCAST_CORS_ORIGINS: `${ORIGIN},http://127.0.0.1:5173` });
  const body = { role: "user", name: "Ann", subject: "user-123", ...membership };
  daemon.userToken = (await daemon.admin("POST", "/api/tokens", body)).body.token;
  return daemon;
}

/** Starts a proxy that refuses the first connection, as a network that blocks WebSockets would. */
async function startWebSocketBlocker(t, daemon) {
  let refused = 0;
  const server = net.createServer((near) => {
    if (refused++ === 0) return near.destroy();
    const far = net.connect(daemon.port, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
    t.after(() => near.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `https://localhost:${server.address().port}`;
}

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  test(`the client example over ${transports} receives its organisation's board`, async (t) => {
    const daemon = await startBoard(t);
    const socket = io(daemon.url, { ca: daemon.ca, transports, extraHeaders: { origin: ORIGIN } });
    t.after(() => socket.disconnect());

    socket.on("connect", () => {
      // Authenticate with organization
      socket.emit("authenticate", {
        token: daemon.userToken,
        userId: "user-123",
        organizationId: "org-456",
        tenantId: "tenant-789",
        userRole: "user",
      });
    });
    const [authenticated] = await next(socket, "authenticated");
    assert.equal(authenticated.success, true);
    assert.equal(authenticated.clientId, socket.id);
    assert.equal(typeof authenticated.timestamp, "string");

    const joined = next(socket, "joined-organization");
    socket.emit("join-organization", { organizationId: "org-456" });
    assert.deepEqual(Object.keys((await joined)[0]).sort(), ["organizationId", "timestamp"]);
    const refused = next(socket, "error");
    socket.emit("join-organization", { organizationId: "org-999" });
    assert.equal((await refused)[0].code, "forbidden");

    // Create a service (triggers broadcast)
    const created = next(socket, "service-update");
    const service = await daemon.admin("POST", "/api/services", {
      name: "Test Service",
      description: "Test",
      organizationId: "org-456",
    });
    assert.equal(service.status, 201);
    const [data, offset] = await created;
    assert.deepEqual(Object.keys(data).sort(), ["data", "timestamp", "type"]);
    assert.equal(data.type, "created");
    assert.deepEqual(data.data, service.body);
    assert.match(offset, /:\d+$/);

    // Update service status (triggers broadcast)
    const updates = ["service-update", "status-update"].map((name) => next(socket, name));
    await daemon.admin("PUT", `/api/services/${service.body.id}`, { status: "degraded" });
    const [[changed], [status]] = await Promise.all(updates);
    assert.equal(changed.data.status, "degraded");
    assert.equal(status.data.status, "degraded");
    assert.equal(status.data.organizationId, "org-456");

    const updated = next(socket, "incident-update");
    const incident = await daemon.admin("POST", "/api/incidents", { title: "Slow", ...membership });
    assert.deepEqual((await updated)[0].data, incident.body);

    const left = next(socket, "left-organization");
    socket.emit("leave-organization", { organizationId: "org-456" });
    assert.equal((await left)[0].organizationId, "org-456");
    const pong = next(socket, "pong");
    socket.emit("ping", {});
    assert.equal(typeof (await pong)[0].timestamp, "string");
  });
}

test("ids that contradict the token get authentication-error", async (t) => {
  const daemon = await startBoard(t);
  const socket = io(daemon.url, { ca: daemon.ca });
  t.after(() => socket.disconnect());
  await next(socket, "connect");
  const refused = next(socket, "authentication-error");
  socket.emit("authenticate", { token: daemon.userToken, organizationId: "org-999" });
  assert.deepEqual(Object.keys((await refused)[0]).sort(), ["error", "timestamp"]);
});

test("polling is the fallback when WebSockets are blocked", async (t) => {
  const daemon = await startBoard(t);
  const socket = io(await startWebSocketBlocker(t, daemon), {
    ca: daemon.ca,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnection: false,
    auth: { token: daemon.userToken },
  });
  t.after(() => socket.disconnect());
  await next(socket, "connected");
  assert.equal(socket.io.engine.transport.name, "polling");
  const updated = next(socket, "service-update");
  await daemon.admin("POST", "/api/services", { name: "Search" });
  assert.equal((await updated)[0].data.name, "Search");
});

test("only pages in cors_origins may read the board", async (t) => {
  const daemon = await startBoard(t);
  const url = (path) => new URL(path, daemon.url);
  const { default: https } = await import("node:https");
  const ask = (method, path, headers) =>
    new Promise((resolve, reject) => {
      const options = { method, ca: daemon.ca, headers, agent: false };
      const sent = https.request(url(path), options, (response) => {
        response.resume();
        response.on("end", () => resolve(response));
      });
      sent.on("error", reject);
      sent.end();
    });
  const authorization = `Bearer ${daemon.userToken}`;
  for (const path of ["/api/status", "/socket.io/?EIO=4&transport=polling"]) {
    const own = await ask("GET", path, { origin: ORIGIN, authorization });
    assert.equal(own.statusCode, 200);
    assert.equal(own.headers["access-control-allow-origin"], ORIGIN);
    assert.equal(own.headers["access-control-allow-credentials"], "true");
    const other = await ask("GET", path, { origin: "http://evil.example", authorization });
    assert.equal(other.headers["access-control-allow-origin"], undefined);
  }
  const asked = { origin: ORIGIN, "access-control-request-method": "POST" };
  const preflight = await ask("OPTIONS", "/api/services", asked);
  assert.equal(preflight.headers["access-control-allow-origin"], ORIGIN);
  assert.match(preflight.headers["access-control-allow-methods"], /GET/);
  assert.match(preflight.headers["access-control-allow-methods"], /POST/);
});
