// Connection state recovery with the unchanged official client (contract 4.1).

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
const QUICK = { reconnectionDelay: 10, reconnectionDelayMax: 20 };

/** A house with one area, a tablet that has it, and a proxy in between. */
async function house(t) {
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
    ...QUICK,
    ...options,
  });
  t.after(() => socket.disconnect());
  socket.names = [];
  socket.on("area_updated", (data) => socket.names.push(data.name));
  return socket;
}

/** Waits until the socket has heard this many names. */
async function heard(socket, count) {
  while (socket.names.length < count) await next(socket, "area_updated");
  return socket.names;
}

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  test(`after a drop on ${name} the same session goes on`, async (t) => {
    const h = await house(t);
    const socket = connect(t, h, { transports });
    await next(socket, "connected");
    assert.equal(socket.recovered, false);
    const { id } = socket;
    await h.rename("A");
    await heard(socket, 1);

    socket.io.opts.reconnection = false;
    const gone = next(socket, "disconnect");
    h.proxy.cut();
    await gone;
    await h.rename("B", "C");
    const back = next(socket, "connected");
    h.proxy.mend();
    socket.connect();
    const [words] = await back;
    await h.rename("D");
    assert.deepEqual(await heard(socket, 4), ["A", "B", "C", "D"]);
    assert.equal(socket.recovered, true);
    assert.equal(words.recovered, true);
    assert.equal(socket.id, id);
    assert.equal(words.connectionId, id);
  });
}

for (const signal of ["SIGTERM", "SIGKILL"]) {
  test(`after the daemon's ${signal} the same session goes on`, async (t) => {
    const h = await house(t);
    const socket = connect(t, { ...h, proxy: undefined }, { transports: ["websocket"] });
    await next(socket, "connected");
    const { id } = socket;
    await h.rename("A");
    await heard(socket, 1);
    const back = next(socket, "connected");
    await h.daemon.restart(signal);
    await h.rename("B");
    await back;
    assert.deepEqual(await heard(socket, 2), ["A", "B"]);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
  });
}

test("a session that saw no event yet goes on with its pid alone", async (t) => {
  const h = await house(t);
  const socket = connect(t, h, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  h.proxy.cut();
  await next(socket, "disconnect");
  await h.rename("A");
  h.proxy.mend();
  socket.connect();
  assert.deepEqual(await heard(socket, 1), ["A"]);
  assert.equal(socket.recovered, true);
});

test("an old offset beside a new pid counts as the pid's own beginning", async (t) => {
  const h = await house(t);
  const socket = connect(t, h, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  await h.rename("A");
  await heard(socket, 1);
  h.proxy.cut();
  await next(socket, "disconnect");
  await h.rename("B");
  // The pid is spoilt: the session is a new one, and stock clients keep the old offset beside it.
  socket._pid = "nonsense";
  h.proxy.mend();
  socket.connect();
  const [words] = await next(socket, "connected");
  assert.equal(socket.recovered, false);
  assert.equal(words.recovered, false);
  h.proxy.cut();
  await next(socket, "disconnect");
  await h.rename("C");
  h.proxy.mend();
  socket.connect();
  assert.deepEqual(await heard(socket, 2), ["A", "C"]);
  assert.equal(socket.recovered, true);
});

test("a heartbeat moves a quiet session's offset", async (t) => {
  const daemon = await startDaemon(t, { WALLCAST_HEARTBEAT_SECONDS: "1" });
  const tablet = await pair(daemon, "Wall", []);
  await createArea(daemon, "Not its own");
  const socket = connect(t, { daemon, tablet }, { transports: ["websocket"] });
  const [words] = await next(socket, "connected");
  const [beat, offset] = await next(socket, "heartbeat");
  assert.equal(offset, `${words.epoch}:${beat.lastEventId}`);
});

for (const [version, io] of Object.entries({ "4.8": newest, "4.0": oldest })) {
  test(`socket.io-client ${version} takes the place of its half-open twin at once`, async (t) => {
    const h = await house(t);
    const socket = connect(t, h, { io, transports: ["websocket"] });
    let [words] = await next(socket, "connected");
    const first = words.connectionId;
    let last = words.lastEventId;
    socket.onAny((...args) => {
      const offset = args.at(-1);
      if (typeof offset === "string") last = Number(offset.split(":")[1]);
    });
    await h.rename("A");
    await heard(socket, 1);
    socket.auth = { token: h.tablet.token, lastEventId: last, epoch: words.epoch };
    const back = next(socket, "connected");
    h.proxy.leaveHalfOpen();
    await h.rename("B");
    [words] = await back;
    await h.rename("C");
    assert.deepEqual(await heard(socket, 3), ["A", "B", "C"]);
    assert.equal(words.recovered, true);
    if (version === "4.8") {
      assert.equal(socket.recovered, true);
      assert.equal(words.connectionId, first);
      const seen = await h.daemon.admin("GET", `/api/clients/${h.tablet.id}`);
      assert.equal(seen.body.sessions, 1, "the twin has gone");
    }
  });
}

test("a page that kept its position goes on over a reload, and again by its pid", async (t) => {
  const h = await house(t);
  const first = connect(t, h, { transports: ["websocket"] });
  const [words] = await next(first, "connected");
  first.disconnect();
  await h.rename("A");
  const auth = { lastEventId: words.lastEventId, epoch: words.epoch };
  const second = connect(t, h, { transports: ["websocket"], auth, reconnection: false });
  const [again] = await next(second, "connected");
  assert.equal(again.recovered, true);
  assert.notEqual(again.connectionId, words.connectionId);
  assert.deepEqual(await heard(second, 1), ["A"]);
  h.proxy.cut();
  await next(second, "disconnect");
  await h.rename("B");
  h.proxy.mend();
  second.connect();
  assert.deepEqual(await heard(second, 2), ["A", "B"]);
  assert.equal(second.recovered, true);
});

test("what the history cannot tell is said, and a new session begins", async (t) => {
  const h = await house(t);
  const auth = { lastEventId: 1, epoch: "another" };
  const socket = connect(t, h, { transports: ["websocket"], auth });
  const [[words], [lost]] = await Promise.all([
    next(socket, "connected"),
    next(socket, "resync_required"),
  ]);
  assert.equal(words.recovered, false);
  assert.deepEqual([lost.reason, lost.lastEventId], ["epoch_changed", words.lastEventId]);
});

test("another principal's pid is as none", async (t) => {
  const h = await house(t);
  const other = await pair(h.daemon, "Other", [h.area]);
  const socket = connect(t, h, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  h.proxy.cut();
  await next(socket, "disconnect");
  await h.rename("A");
  const { id } = socket;
  socket.auth = { token: other.token };
  h.proxy.mend();
  socket.connect();
  const [words] = await next(socket, "connected");
  assert.equal(socket.recovered, false);
  assert.notEqual(words.connectionId, id);
});

test("a socket that connected without a token gets no pid and resumes by message", async (t) => {
  const h = await house(t);
  const early = connect(t, h, { transports: ["websocket"] });
  const [words] = await next(early, "connected");
  early.disconnect();
  await h.rename("A", "B");
  const socket = connect(t, h, { transports: ["websocket"], auth: { token: undefined } });
  await next(socket, "connect");
  assert.equal(socket._pid, undefined);
  socket.emit("authenticate", { token: h.tablet.token });
  await next(socket, "connected");
  const asked = { lastEventId: words.lastEventId, epoch: words.epoch };
  const answer = await within("the answer", new Promise((done) => socket.emit("resume", asked, done)));
  assert.equal(answer.recovered, true);
  assert.deepEqual(await heard(socket, 2), ["A", "B"]);
});

test("each namespace of a connection is recovered by itself", async (t) => {
  const h = await house(t);
  const main = connect(t, h, { transports: ["websocket"], forceNew: false, reconnection: false });
  const help = main.io.socket("/ws/help", { auth: { token: h.tablet.token } });
  help.connect();
  await Promise.all([next(main, "connected"), next(help, "connected")]);
  const ids = [main.id, help.id];
  const gone = [next(main, "disconnect"), next(help, "disconnect")];
  h.proxy.cut();
  await Promise.all(gone);
  await h.rename("A");
  h.proxy.mend();
  main.connect();
  help.connect();
  assert.deepEqual(await heard(main, 1), ["A"]);
  if (!help.connected) await next(help, "connected");
  assert.deepEqual([main.recovered, help.recovered], [true, true]);
  assert.deepEqual([main.id, help.id], ids);
});

for (const how of ["a drop", "a SIGKILL"]) {
  test(`a session has its rooms again after ${how}, and hears what was told there meanwhile`, async (t) => {
    const h = await house(t);
    const direct = { ...h, proxy: how === "a drop" ? h.proxy : undefined };
    const socket = connect(t, direct, { transports: ["websocket"] });
    const rooms = [];
    socket.on("room_updated", (data) => rooms.push(data.room_name));
    await next(socket, "connected");
    const subscribed = next(socket, "room_subscribed");
    socket.emit("subscribe_room", { room_id: h.area });
    await subscribed;
    const back = next(socket, "connected");
    if (how === "a drop") {
      h.proxy.cut();
      await h.rename("B");
      h.proxy.mend();
    } else {
      await h.daemon.restart("SIGKILL");
      await h.rename("B");
    }
    await back;
    await h.rename("C");
    while (rooms.length < 2) await next(socket, "room_updated");
    assert.deepEqual(rooms, ["B", "C"]);
    assert.equal(socket.recovered, true);
  });
}

test("a callback on ack says that it was taken, and an admin sees how far the tablet is", async (t) => {
  const h = await house(t);
  const socket = connect(t, h, { transports: ["polling"] });
  await next(socket, "connected");
  const told = next(socket, "area_updated");
  await h.rename("A");
  const [, offset] = await told;
  const id = Number(offset.split(":")[1]);
  const answer = await within("the answer", new Promise((done) => socket.emit("ack", { id }, done)));
  assert.equal(answer.success, true);
  const seen = await h.daemon.admin("GET", `/api/clients/${h.tablet.id}`);
  assert.equal(seen.body.lastAckedEventId, id);
});

test("a session that resumed by message is not recovered from within what it was told again", async (t) => {
  const h = await house(t);
  const early = connect(t, h, { transports: ["websocket"] });
  const [words] = await next(early, "connected");
  early.disconnect();
  await h.rename("A", "B");
  const socket = connect(t, h, { transports: ["websocket"], reconnection: false });
  await next(socket, "connected");
  socket.emit("resume", { lastEventId: words.lastEventId, epoch: words.epoch });
  await heard(socket, 1);
  h.proxy.cut();
  if (socket.connected) await next(socket, "disconnect");
  h.proxy.mend();
  socket.connect();
  const [again] = await next(socket, "connected");
  assert.equal(socket.recovered, false);
  assert.equal(again.recovered, false);
});
