// Connection state recovery with the official client (docs/protocol.md#connection-state-recovery).

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as newest } from "socket.io-client";
import { io as oldest } from "socket.io-client-4.0";

import { createArea, next, pair, startDaemon, startProxy, within } from "./support.mjs";

const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
};
const FAST_RECONNECT = { reconnectionDelay: 10, reconnectionDelayMax: 20 };

/** Starts a daemon with one area, a tablet that is assigned to it, and a proxy between them. */
async function setUp(t) {
  const daemon = await startDaemon(t);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const proxy = await startProxy(t, daemon);
  const rename = async (...names) => {
    for (const name of names) {
      const answer = await daemon.admin("PATCH", `/api/areas/${area}`, { name });
      assert.equal(answer.status, 200);
    }
  };
  return { daemon, area, tablet, proxy, rename };
}

function connect(t, { daemon, tablet, proxy }, { io = newest, auth, path = "/", ...options } = {}) {
  const socket = io((proxy?.url ?? daemon.url) + path, {
    ca: daemon.ca,
    forceNew: true,
    auth: { token: tablet.token, ...auth },
    ...FAST_RECONNECT,
    ...options,
  });
  t.after(() => socket.disconnect());
  socket.names = [];
  socket.on("area_updated", (data) => socket.names.push(data.name));
  return socket;
}

/** Waits until the socket has received this many names. */
async function waitForNames(socket, count) {
  while (socket.names.length < count) await next(socket, "area_updated");
  return socket.names;
}

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  test(`a drop on ${name} recovers the same session`, async (t) => {
    const env = await setUp(t);
    const socket = connect(t, env, { transports });
    await next(socket, "connected");
    assert.equal(socket.recovered, false);
    const { id } = socket;
    await env.rename("A");
    await waitForNames(socket, 1);

    socket.io.opts.reconnection = false;
    const disconnected = next(socket, "disconnect");
    env.proxy.cut();
    await disconnected;
    await env.rename("B", "C");
    const reconnected = next(socket, "connected");
    env.proxy.restore();
    socket.connect();
    const [welcome] = await reconnected;
    await env.rename("D");
    assert.deepEqual(await waitForNames(socket, 4), ["A", "B", "C", "D"]);
    assert.equal(socket.recovered, true);
    assert.equal(welcome.recovered, true);
    assert.equal(socket.id, id);
    assert.equal(welcome.connectionId, id);
  });
}

for (const signal of ["SIGTERM", "SIGKILL"]) {
  test(`${signal} of the daemon recovers the same session`, async (t) => {
    const env = await setUp(t);
    const socket = connect(t, { ...env, proxy: undefined }, { transports: ["websocket"] });
    await next(socket, "connected");
    const { id } = socket;
    await env.rename("A");
    await waitForNames(socket, 1);
    const reconnected = next(socket, "connected");
    await env.daemon.restart(signal);
    await env.rename("B");
    await reconnected;
    assert.deepEqual(await waitForNames(socket, 2), ["A", "B"]);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
  });
}

test("a session without events recovers with its pid alone", async (t) => {
  const env = await setUp(t);
  const socket = connect(t, env, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  env.proxy.cut();
  await next(socket, "disconnect");
  await env.rename("A");
  env.proxy.restore();
  socket.connect();
  assert.deepEqual(await waitForNames(socket, 1), ["A"]);
  assert.equal(socket.recovered, true);
});

test("an old offset with a new pid resumes from the start of the new session", async (t) => {
  const env = await setUp(t);
  const socket = connect(t, env, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  await env.rename("A");
  await waitForNames(socket, 1);
  env.proxy.cut();
  await next(socket, "disconnect");
  await env.rename("B");
  // With an invalid pid the session is new, but official clients keep the old offset.
  socket._pid = "nonsense";
  env.proxy.restore();
  socket.connect();
  const [welcome] = await next(socket, "connected");
  assert.equal(socket.recovered, false);
  assert.equal(welcome.recovered, false);
  env.proxy.cut();
  await next(socket, "disconnect");
  await env.rename("C");
  env.proxy.restore();
  socket.connect();
  assert.deepEqual(await waitForNames(socket, 2), ["A", "C"]);
  assert.equal(socket.recovered, true);
});

test("a heartbeat advances the offset of an idle session", async (t) => {
  const daemon = await startDaemon(t, { WALLCAST_HEARTBEAT_SECONDS: "1" });
  const tablet = await pair(daemon, "Wall", []);
  await createArea(daemon, "Not its own");
  const socket = connect(t, { daemon, tablet }, { transports: ["websocket"] });
  const [welcome] = await next(socket, "connected");
  const [heartbeat, offset] = await next(socket, "heartbeat");
  assert.equal(offset, `${welcome.epoch}:${heartbeat.lastEventId}`);
});

for (const [version, io] of Object.entries({ "4.8": newest, "4.0": oldest })) {
  test(`socket.io-client ${version} replaces its half-open session at once`, async (t) => {
    const env = await setUp(t);
    const socket = connect(t, env, { io, transports: ["websocket"] });
    let [welcome] = await next(socket, "connected");
    const first = welcome.connectionId;
    let last = welcome.lastEventId;
    socket.onAny((...args) => {
      const offset = args.at(-1);
      if (typeof offset === "string") last = Number(offset.split(":")[1]);
    });
    await env.rename("A");
    await waitForNames(socket, 1);
    socket.auth = { token: env.tablet.token, lastEventId: last, epoch: welcome.epoch };
    const reconnected = next(socket, "connected");
    env.proxy.leaveHalfOpen();
    await env.rename("B");
    [welcome] = await reconnected;
    await env.rename("C");
    assert.deepEqual(await waitForNames(socket, 3), ["A", "B", "C"]);
    assert.equal(welcome.recovered, true);
    if (version === "4.8") {
      assert.equal(socket.recovered, true);
      assert.equal(welcome.connectionId, first);
      const seen = await env.daemon.admin("GET", `/api/clients/${env.tablet.id}`);
      assert.equal(seen.body.sessions, 1, "the old session has ended");
    }
  });
}

test("a stored position resumes after a reload, and the new session recovers by its pid", async (t) => {
  const env = await setUp(t);
  const first = connect(t, env, { transports: ["websocket"] });
  const [welcome] = await next(first, "connected");
  first.disconnect();
  await env.rename("A");
  const auth = { lastEventId: welcome.lastEventId, epoch: welcome.epoch };
  const second = connect(t, env, { transports: ["websocket"], auth, reconnection: false });
  const [welcomeBack] = await next(second, "connected");
  assert.equal(welcomeBack.recovered, true);
  assert.notEqual(welcomeBack.connectionId, welcome.connectionId);
  assert.deepEqual(await waitForNames(second, 1), ["A"]);
  env.proxy.cut();
  await next(second, "disconnect");
  await env.rename("B");
  env.proxy.restore();
  second.connect();
  assert.deepEqual(await waitForNames(second, 2), ["A", "B"]);
  assert.equal(second.recovered, true);
});

test("a position from another epoch gets resync_required and a new session", async (t) => {
  const env = await setUp(t);
  const auth = { lastEventId: 1, epoch: "another" };
  const socket = connect(t, env, { transports: ["websocket"], auth });
  const [[welcome], [lost]] = await Promise.all([
    next(socket, "connected"),
    next(socket, "resync_required"),
  ]);
  assert.equal(welcome.recovered, false);
  assert.deepEqual([lost.reason, lost.lastEventId], ["epoch_changed", welcome.lastEventId]);
});

test("a pid of another principal is ignored", async (t) => {
  const env = await setUp(t);
  const other = await pair(env.daemon, "Other", [env.area]);
  const socket = connect(t, env, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  env.proxy.cut();
  await next(socket, "disconnect");
  await env.rename("A");
  const { id } = socket;
  socket.auth = { token: other.token };
  env.proxy.restore();
  socket.connect();
  const [welcome] = await next(socket, "connected");
  assert.equal(socket.recovered, false);
  assert.notEqual(welcome.connectionId, id);
});

test("a socket without a token in CONNECT gets no pid and resumes by message", async (t) => {
  const env = await setUp(t);
  const early = connect(t, env, { transports: ["websocket"] });
  const [welcome] = await next(early, "connected");
  early.disconnect();
  await env.rename("A", "B");
  const socket = connect(t, env, { transports: ["websocket"], auth: { token: undefined } });
  await next(socket, "connect");
  assert.equal(socket._pid, undefined);
  socket.emit("authenticate", { token: env.tablet.token });
  await next(socket, "connected");
  const position = { lastEventId: welcome.lastEventId, epoch: welcome.epoch };
  const answer = await within("the response", new Promise((done) => socket.emit("resume", position, done)));
  assert.equal(answer.recovered, true);
  assert.deepEqual(await waitForNames(socket, 2), ["A", "B"]);
});

test("each namespace of a connection recovers separately", async (t) => {
  const env = await setUp(t);
  const main = connect(t, env, { transports: ["websocket"], forceNew: false, reconnection: false });
  const help = main.io.socket("/ws/help", { auth: { token: env.tablet.token } });
  help.connect();
  await Promise.all([next(main, "connected"), next(help, "connected")]);
  const ids = [main.id, help.id];
  const disconnected = [next(main, "disconnect"), next(help, "disconnect")];
  env.proxy.cut();
  await Promise.all(disconnected);
  await env.rename("A");
  env.proxy.restore();
  main.connect();
  help.connect();
  assert.deepEqual(await waitForNames(main, 1), ["A"]);
  if (!help.connected) await next(help, "connected");
  assert.deepEqual([main.recovered, help.recovered], [true, true]);
  assert.deepEqual([main.id, help.id], ids);
});

for (const cause of ["a drop", "a SIGKILL"]) {
  test(`a session recovers its rooms and their events after ${cause}`, async (t) => {
    const env = await setUp(t);
    const target = { ...env, proxy: cause === "a drop" ? env.proxy : undefined };
    const socket = connect(t, target, { transports: ["websocket"] });
    const rooms = [];
    socket.on("room_updated", (data) => rooms.push(data.room_name));
    await next(socket, "connected");
    const subscribed = next(socket, "room_subscribed");
    socket.emit("subscribe_room", { room_id: env.area });
    await subscribed;
    const reconnected = next(socket, "connected");
    if (cause === "a drop") {
      env.proxy.cut();
      await env.rename("B");
      env.proxy.restore();
    } else {
      await env.daemon.restart("SIGKILL");
      await env.rename("B");
    }
    await reconnected;
    await env.rename("C");
    while (rooms.length < 2) await next(socket, "room_updated");
    assert.deepEqual(rooms, ["B", "C"]);
    assert.equal(socket.recovered, true);
  });
}

test("an ack is confirmed and updates the tablet's position for admins", async (t) => {
  const env = await setUp(t);
  const socket = connect(t, env, { transports: ["polling"] });
  await next(socket, "connected");
  const updated = next(socket, "area_updated");
  await env.rename("A");
  const [, offset] = await updated;
  const id = Number(offset.split(":")[1]);
  const answer = await within("the response", new Promise((done) => socket.emit("ack", { id }, done)));
  assert.equal(answer.success, true);
  const seen = await env.daemon.admin("GET", `/api/clients/${env.tablet.id}`);
  assert.equal(seen.body.lastAckedEventId, id);
});

test("a session cut during a resume by message is not recovered", async (t) => {
  const env = await setUp(t);
  const early = connect(t, env, { transports: ["websocket"] });
  const [welcome] = await next(early, "connected");
  early.disconnect();
  await env.rename("A", "B");
  const socket = connect(t, env, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  socket.emit("resume", { lastEventId: welcome.lastEventId, epoch: welcome.epoch });
  await waitForNames(socket, 1);
  env.proxy.cut();
  if (socket.connected) await next(socket, "disconnect");
  env.proxy.restore();
  socket.connect();
  const [welcomeBack] = await next(socket, "connected");
  assert.equal(socket.recovered, false);
  assert.equal(welcomeBack.recovered, false);
});
