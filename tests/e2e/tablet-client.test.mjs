// The client module wallcast.js in Node.js against the real daemon.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import WebSocket from "ws";

import { Wallcast } from "../../web/wallcast.js";
import { createArea, pair, startDaemon, within } from "./support.mjs";

const PLAIN = { WALLCAST_PLAIN_LISTEN: "127.0.0.1:0" };

/** An in-memory replacement of localStorage. */
function memoryStorage() {
  const entries = new Map();
  return { getItem: (key) => entries.get(key) ?? null, setItem: (key, value) => entries.set(key, value), entries };
}

function createClient(t, daemon, options) {
  const client = new Wallcast({ base: `http://127.0.0.1:${daemon.plainPort}/`, WebSocket, ...options });
  t.after(() => client.close());
  return client;
}

/** Waits for the next event of this type that matches. */
function nextEvent(client, type, matches = () => true) {
  const received = new Promise((resolve) => {
    const off = client.on(type, (data, event) => {
      if (!matches(data, event)) return;
      off();
      resolve({ ...event, data });
    });
  });
  return within(type, received);
}

const waitForPhase = (client, wanted) => nextEvent(client, "state", (state) => state.phase === wanted);

for (const transport of ["websocket", "sse"]) {
  test(`${transport}: a client receives events, acknowledges them and sends requests`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const client = createClient(t, daemon, { token: tablet.token, transports: [transport] });
    const welcome = nextEvent(client, "connection");
    client.connect();
    const { data } = await welcome;
    assert.equal(data.clientId, tablet.id);
    assert.equal(data.assignedAreas[0].name, "Kitchen");
    assert.equal(client.state.transport, transport);
    assert.ok(Math.abs(client.now() - Date.now()) < 5000);

    const updated = nextEvent(client, "area_updated");
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Küche" });
    const event = await updated;
    assert.equal(event.data.name, "Küche");
    assert.equal(event.isReplayed, false);
    assert.ok(event.id > 0);
    const acked = async () =>
      (await daemon.admin("GET", `/api/clients/${tablet.id}`)).body.lastAckedEventId;
    await within("the ack", (async () => {
      while ((await acked()) !== event.id) await new Promise((resolve) => setTimeout(resolve, 20));
    })());

    assert.equal((await client.send("ping")).success, true);
    await assert.rejects(client.send("join_room", { room: "not-mine" }), { code: "forbidden" });
    assert.equal((await client.request("GET", "api/me")).clientId, tablet.id);
    await assert.rejects(client.request("GET", "api/audit"), { status: 403, code: "forbidden" });
  });

  test(`${transport}: missed events are replayed once after a kill and a page reload`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const storage = memoryStorage();
    const options = { token: tablet.token, transports: [transport], storage };
    const first = createClient(t, daemon, options);
    first.connect();
    await nextEvent(first, "connection");
    const last = nextEvent(first, "area_updated");
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "1" });
    await last;
    first.close();
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "2" });
    await daemon.restart("SIGKILL");

    const second = createClient(t, daemon, options);
    const names = [];
    second.on("area_updated", ({ name }, { isReplayed }) => names.push([name, isReplayed]));
    second.connect();
    const { data } = await nextEvent(second, "connection");
    assert.equal(data.recovered, true);
    const live = nextEvent(second, "area_updated", ({ name }) => name === "3");
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "3" });
    await live;
    assert.deepEqual(names, [["2", true], ["3", false]]);
    assert.ok(![...storage.entries.values()].join().includes(tablet.token));
  });

  test(`${transport}: a revoked token ends the client, also after another connect`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const tablet = await pair(daemon, "Wall", []);
    const client = createClient(t, daemon, { token: tablet.token, transports: [transport] });
    client.connect();
    await nextEvent(client, "connection");
    const ended = waitForPhase(client, "ended");
    await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, {});
    assert.equal((await ended).data.reason, "revoked");
    const again = waitForPhase(client, "ended");
    client.connect();
    assert.equal((await again).data.reason, "revoked");
  });

  test(`${transport}: the client reconnects after a disconnect and ends when deactivated`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const tablet = await pair(daemon, "Wall", []);
    const client = createClient(t, daemon, { token: tablet.token, transports: [transport] });
    client.connect();
    await nextEvent(client, "connection");
    const reconnected = nextEvent(client, "connection");
    await daemon.admin("POST", `/api/clients/${tablet.id}/disconnect`, {});
    await reconnected;
    const ended = waitForPhase(client, "ended");
    await daemon.admin("PATCH", `/api/clients/${tablet.id}`, { isActive: false });
    assert.equal((await ended).data.reason, "inactive");
  });
}

/** Serves these frames on the event stream, and 404 for everything else. */
async function serveStream(t, frames) {
  const server = http.createServer((request, response) => {
    if (request.url !== "/api/events") return response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/event-stream" });
    return frames.forEach((frame) => response.write(frame));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.close(), server.closeAllConnections()));
  return `http://127.0.0.1:${server.address().port}/`;
}

const WELCOME = 'event: connection\ndata: {"epoch":"e","lastEventId":1,"recovered":false}\n\n';

test("event data may contain JavaScript line separators", async (t) => {
  const name = "Kitchen\u2028and\u2029hall: two";
  const base = await serveStream(t, [WELCOME, `id: e:2\nevent: area_updated\ndata: ${JSON.stringify({ name })}\n\n`]);
  const client = new Wallcast({ base, transports: ["sse"] });
  t.after(() => client.close());
  const updated = nextEvent(client, "area_updated");
  client.connect();
  assert.equal((await updated).data.name, name);
});

test("a clock set back does not hide a silent connection", async (t) => {
  const base = await serveStream(t, [WELCOME]);
  const client = new Wallcast({ base, transports: ["sse"] });
  t.after(() => client.close());
  const welcome = nextEvent(client, "connection");
  client.connect();
  await welcome;
  const realNow = Date.now;
  t.after(() => (Date.now = realNow));
  Date.now = () => realNow() - 3600_000;
  await waitForPhase(client, "waiting");
});

test("a client closed by a handler stays closed", async (t) => {
  let requests = 0;
  const client = new Wallcast({ base: "http://127.0.0.1:1/", fetch: () => Promise.reject(new Error(`no network ${++requests}`)), transports: ["sse"] });
  t.after(() => client.close());
  client.on("state", ({ phase }) => phase === "connecting" && client.close());
  client.connect();
  assert.equal(client.state.phase, "idle");
  assert.equal(requests, 0);
});

test("an invalid stored position is ignored", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  for (const invalid of ["7", "null", '{"epoch":"e","lastEventId":"x"}', "{"]) {
    const storage = memoryStorage();
    storage.setItem("wallcast", invalid);
    const client = createClient(t, daemon, { token: tablet.token, storage });
    const welcome = nextEvent(client, "connection");
    client.connect();
    assert.equal((await welcome).data.clientId, tablet.id, invalid);
    assert.equal(client.state.transport, "websocket", invalid);
    client.close();
  }
});

test("a connected tablet is not behind", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const behind = async () =>
    (await daemon.admin("GET", "/api/positions")).body.positions.find(({ clientId }) => clientId === tablet.id).behind.events;
  assert.ok((await behind()) > 0);
  const client = createClient(t, daemon, { token: tablet.token });
  client.connect();
  await within("the position", (async () => {
    while ((await behind()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  })());
});

test("the client waits for reconnectAfterMs after a shutdown", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  const client = createClient(t, daemon, { token: tablet.token });
  client.connect();
  await nextEvent(client, "connection");
  const shutdown = nextEvent(client, "server_shutdown");
  const waiting = waitForPhase(client, "waiting");
  daemon.child.kill("SIGTERM");
  const { reconnectAfterMs } = (await shutdown).data;
  const { retryAt, since } = (await waiting).data;
  assert.ok(retryAt - since >= reconnectAfterMs, `${retryAt - since} < ${reconnectAfterMs}`);
});

/** Starts a proxy that forwards requests to the daemon but refuses upgrades, as some proxies do. */
async function proxyWithoutSockets(t, daemon) {
  const proxy = http.createServer((request, response) => {
    const { method, url: path, headers } = request;
    const far = http.request({ host: "127.0.0.1", port: daemon.plainPort, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    far.on("error", () => response.destroy());
    response.on("close", () => far.destroy());
    request.pipe(far);
  });
  let upgrades = 0;
  proxy.on("upgrade", (_, socket) => {
    upgrades += 1;
    socket.end("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n");
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => (proxy.close(), proxy.closeAllConnections()));
  return { base: `http://127.0.0.1:${proxy.address().port}/`, upgrades: () => upgrades };
}

test("the client falls back to server-sent events and remembers that", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  const proxy = await proxyWithoutSockets(t, daemon);
  const storage = memoryStorage();
  const client = createClient(t, daemon, { base: proxy.base, token: tablet.token, storage });
  client.connect();
  await nextEvent(client, "connection");
  assert.equal(client.state.transport, "sse");
  assert.ok(proxy.upgrades() > 0);
  assert.equal((await client.send("ping")).success, true);
  const info = await daemon.admin("GET", "/api/websocket/info");
  assert.deepEqual(info.body.data.clients.map(({ dialect }) => dialect), ["sse"]);
  client.close();

  const upgradesBefore = proxy.upgrades();
  const next = createClient(t, daemon, { base: proxy.base, token: tablet.token, storage });
  next.connect();
  await nextEvent(next, "connection");
  assert.equal(proxy.upgrades(), upgradesBefore);
});

test("a wrong token ends the client with the daemon's error", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const client = createClient(t, daemon, { token: "nonsense" });
  const ended = waitForPhase(client, "ended");
  client.connect();
  const { reason, message } = (await ended).data;
  assert.equal(reason, "invalid_token");
  assert.match(message, /not valid/);
  await assert.rejects(client.send("ping"), { code: "offline" });
});

test("a session id authenticates, and a position from another epoch is not recovered", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  const session = await daemon.as(tablet.token)("POST", "/api/auth/session", {});
  const storage = memoryStorage();
  storage.setItem("wallcast", JSON.stringify({ epoch: "another", lastEventId: 7 }));
  const client = createClient(t, daemon, { sessionId: session.body.sessionId, storage });
  const resync = nextEvent(client, "resync_required");
  client.connect();
  const { data } = await nextEvent(client, "connection");
  assert.equal(data.clientId, tablet.id);
  assert.equal(data.recovered, false);
  await resync;
  client.close();
  assert.equal(JSON.parse(storage.getItem("wallcast")).epoch, data.epoch);
});
