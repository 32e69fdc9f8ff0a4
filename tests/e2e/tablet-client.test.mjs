// wallcast.js, the client module, in Node against the real daemon.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import WebSocket from "ws";

import { Wallcast } from "../../web/wallcast.js";
import { createArea, pair, startDaemon, within } from "./support.mjs";

const PLAIN = { WALLCAST_PLAIN_LISTEN: "127.0.0.1:0" };

/** What localStorage is, for as long as a test. */
function memory() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), kept };
}

function client(t, daemon, options) {
  const house = new Wallcast({ base: `http://127.0.0.1:${daemon.plainPort}/`, WebSocket, ...options });
  t.after(() => house.close());
  return house;
}

/** The next event of that type that passes. */
function heard(house, type, passes = () => true) {
  const told = new Promise((resolve) => {
    const off = house.on(type, (data, event) => {
      if (!passes(data, event)) return;
      off();
      resolve({ ...event, data });
    });
  });
  return within(type, told);
}

const phase = (house, wanted) => heard(house, "state", (state) => state.phase === wanted);

for (const transport of ["websocket", "sse"]) {
  test(`${transport}: words, events, requests, acknowledgement`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const house = client(t, daemon, { token: tablet.token, transports: [transport] });
    const words = heard(house, "connection");
    house.connect();
    const { data } = await words;
    assert.equal(data.clientId, tablet.id);
    assert.equal(data.assignedAreas[0].name, "Kitchen");
    assert.equal(house.state.transport, transport);
    assert.ok(Math.abs(house.now() - Date.now()) < 5000);

    const updated = heard(house, "area_updated");
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

    assert.equal((await house.send("ping")).success, true);
    await assert.rejects(house.send("join_room", { room: "not-mine" }), { code: "forbidden" });
    assert.equal((await house.request("GET", "api/me")).clientId, tablet.id);
    await assert.rejects(house.request("GET", "api/audit"), { status: 403, code: "forbidden" });
  });

  test(`${transport}: what was missed comes once, over a kill and a new page`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const storage = memory();
    const options = { token: tablet.token, transports: [transport], storage };
    const first = client(t, daemon, options);
    first.connect();
    await heard(first, "connection");
    const last = heard(first, "area_updated");
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "1" });
    await last;
    first.close();
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "2" });
    await daemon.restart("SIGKILL");

    const second = client(t, daemon, options);
    const names = [];
    second.on("area_updated", ({ name }, { isReplayed }) => names.push([name, isReplayed]));
    second.connect();
    const { data } = await heard(second, "connection");
    assert.equal(data.recovered, true);
    const live = heard(second, "area_updated", ({ name }) => name === "3");
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "3" });
    await live;
    assert.deepEqual(names, [["2", true], ["3", false]]);
    assert.ok(![...storage.kept.values()].join().includes(tablet.token));
  });

  test(`${transport}: a revoked token ends it for good, and a new connect says the same`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const tablet = await pair(daemon, "Wall", []);
    const house = client(t, daemon, { token: tablet.token, transports: [transport] });
    house.connect();
    await heard(house, "connection");
    const ended = phase(house, "ended");
    await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, {});
    assert.equal((await ended).data.reason, "revoked");
    const again = phase(house, "ended");
    house.connect();
    assert.equal((await again).data.reason, "revoked");
  });

  test(`${transport}: deactivated, and an admin's disconnect`, async (t) => {
    const daemon = await startDaemon(t, PLAIN);
    const tablet = await pair(daemon, "Wall", []);
    const house = client(t, daemon, { token: tablet.token, transports: [transport] });
    house.connect();
    await heard(house, "connection");
    const back = heard(house, "connection");
    await daemon.admin("POST", `/api/clients/${tablet.id}/disconnect`, {});
    await back;
    const ended = phase(house, "ended");
    await daemon.admin("PATCH", `/api/clients/${tablet.id}`, { isActive: false });
    assert.equal((await ended).data.reason, "inactive");
  });
}

/** A house that says what no daemon would, on its event stream; everything else it does not know. */
async function streamOf(t, frames) {
  const server = http.createServer((request, response) => {
    if (request.url !== "/api/events") return response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/event-stream" });
    return frames.forEach((frame) => response.write(frame));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.close(), server.closeAllConnections()));
  return `http://127.0.0.1:${server.address().port}/`;
}

const WORDS = 'event: connection\ndata: {"epoch":"e","lastEventId":1,"recovered":false}\n\n';

test("a name may hold what ends a line in JavaScript", async (t) => {
  const name = "Kitchen\u2028and\u2029hall: two";
  const base = await streamOf(t, [WORDS, `id: e:2\nevent: area_updated\ndata: ${JSON.stringify({ name })}\n\n`]);
  const house = new Wallcast({ base, transports: ["sse"] });
  t.after(() => house.close());
  const updated = heard(house, "area_updated");
  house.connect();
  assert.equal((await updated).data.name, name);
});

test("a clock that was set back hides no silence", async (t) => {
  const base = await streamOf(t, [WORDS]);
  const house = new Wallcast({ base, transports: ["sse"] });
  t.after(() => house.close());
  const words = heard(house, "connection");
  house.connect();
  await words;
  const honest = Date.now;
  t.after(() => (Date.now = honest));
  Date.now = () => honest() - 3600_000;
  await phase(house, "waiting");
});

test("closed by a handler it stays closed", async (t) => {
  let asked = 0;
  const house = new Wallcast({ base: "http://127.0.0.1:1/", fetch: () => Promise.reject(new Error(`no network ${++asked}`)), transports: ["sse"] });
  t.after(() => house.close());
  house.on("state", ({ phase }) => phase === "connecting" && house.close());
  house.connect();
  assert.equal(house.state.phase, "idle");
  assert.equal(asked, 0);
});

test("what a storage was spoilt with is no position", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  for (const spoilt of ["7", "null", '{"epoch":"e","lastEventId":"x"}', "{"]) {
    const storage = memory();
    storage.setItem("wallcast", spoilt);
    const house = client(t, daemon, { token: tablet.token, storage });
    const words = heard(house, "connection");
    house.connect();
    assert.equal((await words).data.clientId, tablet.id, spoilt);
    assert.equal(house.state.transport, "websocket", spoilt);
    house.close();
  }
});

test("a tablet that has drawn everything is behind by nothing", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const behind = async () =>
    (await daemon.admin("GET", "/api/positions")).body.positions.find(({ clientId }) => clientId === tablet.id).behind.events;
  assert.ok((await behind()) > 0);
  const house = client(t, daemon, { token: tablet.token });
  house.connect();
  await within("the position", (async () => {
    while ((await behind()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  })());
});

test("it stays away as long as a house that stops has asked", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  const house = client(t, daemon, { token: tablet.token });
  house.connect();
  await heard(house, "connection");
  const told = heard(house, "server_shutdown");
  const waiting = phase(house, "waiting");
  daemon.child.kill("SIGTERM");
  const { reconnectAfterMs } = (await told).data;
  const { retryAt, since } = (await waiting).data;
  assert.ok(retryAt - since >= reconnectAfterMs, `${retryAt - since} < ${reconnectAfterMs}`);
});

/** Forwards requests to the daemon but lets no upgrade through, as some proxies do. */
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

test("where no WebSocket gets through it takes server-sent events, remembers it, and the admin sees it", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  const proxy = await proxyWithoutSockets(t, daemon);
  const storage = memory();
  const house = client(t, daemon, { base: proxy.base, token: tablet.token, storage });
  house.connect();
  await heard(house, "connection");
  assert.equal(house.state.transport, "sse");
  assert.ok(proxy.upgrades() > 0);
  assert.equal((await house.send("ping")).success, true);
  const info = await daemon.admin("GET", "/api/websocket/info");
  assert.deepEqual(info.body.data.clients.map(({ dialect }) => dialect), ["sse"]);
  house.close();

  const tried = proxy.upgrades();
  const next = client(t, daemon, { base: proxy.base, token: tablet.token, storage });
  next.connect();
  await heard(next, "connection");
  assert.equal(proxy.upgrades(), tried);
});

test("a wrong token is told by the house's own word, and is not tried again", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const house = client(t, daemon, { token: "nonsense" });
  const ended = phase(house, "ended");
  house.connect();
  const { reason, message } = (await ended).data;
  assert.equal(reason, "invalid_token");
  assert.match(message, /not valid/);
  await assert.rejects(house.send("ping"), { code: "offline" });
});

test("a session id does as well as a token, and a position from another history is no position", async (t) => {
  const daemon = await startDaemon(t, PLAIN);
  const tablet = await pair(daemon, "Wall", []);
  const session = await daemon.as(tablet.token)("POST", "/api/auth/session", {});
  const storage = memory();
  storage.setItem("wallcast", JSON.stringify({ epoch: "another", lastEventId: 7 }));
  const house = client(t, daemon, { sessionId: session.body.sessionId, storage });
  const resync = heard(house, "resync_required");
  house.connect();
  const { data } = await heard(house, "connection");
  assert.equal(data.clientId, tablet.id);
  assert.equal(data.recovered, false);
  await resync;
  house.close();
  assert.equal(JSON.parse(storage.getItem("wallcast")).epoch, data.epoch);
});
