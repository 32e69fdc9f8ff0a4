// The official socket.io-client, in the newest version and 4.0, over each transport (docs/protocol.md#socketio).

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as newest } from "socket.io-client";
import { io as oldest } from "socket.io-client-4.0";
import WebSocket from "ws";

import { createArea, next, pair, startDaemon, within } from "./support.mjs";

const CLIENTS = { "4.8": newest, "4.0": oldest };
const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
};

function connect(t, io, daemon, { path = "/", ...options } = {}) {
  const socket = io(daemon.url + path, { ca: daemon.ca, forceNew: true, ...options });
  t.after(() => socket.disconnect());
  return socket;
}

/** Records every event except the welcome and heartbeats. */
function listen(socket) {
  const received = [];
  socket.onAny((type, data) => {
    if (!["connected", "heartbeat"].includes(type)) received.push([type, data]);
  });
  return received;
}

for (const [version, io] of Object.entries(CLIENTS)) {
  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`socket.io-client ${version} over ${name} receives events of its areas only`, async (t) => {
      const daemon = await startDaemon(t);
      const kitchen = await createArea(daemon, "Kitchen");
      const bath = await createArea(daemon, "Bath");
      const mine = await pair(daemon, "Kitchen wall", [kitchen]);
      const other = await pair(daemon, "Bath wall", [bath]);

      const socket = connect(t, io, daemon, { transports, auth: { token: mine.token } });
      const otherTablet = connect(t, io, daemon, { transports, auth: { token: other.token } });
      const unexpected = listen(otherTablet);
      const [[welcome]] = await Promise.all([next(socket, "connected"), next(otherTablet, "connected")]);
      assert.equal(welcome.status, "connected");
      assert.equal(welcome.clientId, mine.id);
      assert.equal(welcome.connectionId, socket.id);
      assert.deepEqual(welcome.assignedAreas.map((area) => area.id), [kitchen]);

      const changed = next(socket, "area_updated");
      await daemon.admin("PUT", `/api/areas/${kitchen}`, { name: "Kitchen 2" });
      const [data, offset] = await changed;
      assert.equal(data.areaId, kitchen);
      assert.equal(data.name, "Kitchen 2");
      assert.match(offset, new RegExp(`^${welcome.epoch}:\\d+$`));

      const answer = await within("the ack", new Promise((done) => socket.emit("ping", {}, done)));
      assert.equal(answer.success, true);
      await within("the other tablet's ack", new Promise((done) => otherTablet.emit("ping", {}, done)));
      assert.deepEqual(unexpected.filter(([type]) => type !== "pong"), []);
    });

    test(`socket.io-client ${version} over ${name} gets connect_error for a wrong token`, async (t) => {
      const daemon = await startDaemon(t);
      const socket = connect(t, io, daemon, { transports, auth: { token: "no.such.token" } });
      const [error] = await next(socket, "connect_error");
      assert.equal(error.message, "Authentication error");
      assert.equal(error.data.code, "invalid_token");
      assert.equal(socket.connected, false);
    });

    test(`socket.io-client ${version} over ${name} authenticates by message`, async (t) => {
      const daemon = await startDaemon(t);
      const tablet = await pair(daemon, "Wall", []);
      const socket = connect(t, io, daemon, { transports });
      await next(socket, "connect");
      const refused = await within(
        "the refusal",
        new Promise((done) => socket.emit("ping", {}, done)),
      );
      assert.equal(refused.code, "unauthenticated");
      const [authenticated, connected] = [next(socket, "authenticated"), next(socket, "connected")];
      socket.emit("authenticate", { token: tablet.token });
      assert.equal((await authenticated)[0].clientId, tablet.id);
      assert.equal((await connected)[0].clientId, tablet.id);
    });

    test(`socket.io-client ${version} over ${name} gets both error events for a wrong token in a message`, async (t) => {
      const daemon = await startDaemon(t);
      const socket = connect(t, io, daemon, { transports });
      await next(socket, "connect");
      const ends = [
        next(socket, "auth_error"),
        next(socket, "authentication-error"),
        next(socket, "disconnect"),
      ];
      socket.emit("authenticate", { token: "no.such.token" });
      const [[authError], [authenticationError], [reason]] = await Promise.all(ends);
      assert.equal(typeof authError.message, "string");
      assert.equal(typeof authenticationError.error, "string");
      assert.equal(typeof authenticationError.timestamp, "string");
      assert.equal(reason, "io server disconnect");
    });

    test(`socket.io-client ${version} over ${name} does not reconnect after revocation`, async (t) => {
      const daemon = await startDaemon(t);
      const tablet = await pair(daemon, "Wall", []);
      const socket = connect(t, io, daemon, {
        transports,
        auth: { token: tablet.token },
        reconnectionDelay: 1,
      });
      await next(socket, "connected");
      const last = [next(socket, "token_revoked"), next(socket, "error"), next(socket, "disconnect")];
      const answer = await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, { reason: "lost" });
      assert.equal(answer.status, 200);
      const [[revoked], [error], [reason]] = await Promise.all(last);
      assert.equal(revoked.reason, "lost");
      assert.equal(error.code, "revoked");
      assert.equal(reason, "io server disconnect");
      assert.equal(socket.active ?? false, false, "it does not reconnect");
    });

    test(`socket.io-client ${version} over ${name} reconnects after an admin's disconnect`, async (t) => {
      const daemon = await startDaemon(t);
      const tablet = await pair(daemon, "Wall", []);
      const socket = connect(t, io, daemon, {
        transports,
        auth: { token: tablet.token },
        reconnectionDelay: 1,
      });
      await next(socket, "connected");
      const [disconnected, reconnected] = [next(socket, "disconnect"), next(socket, "connected")];
      await daemon.admin("POST", `/api/clients/${tablet.id}/disconnect`, {});
      assert.notEqual((await disconnected)[0], "io server disconnect");
      assert.equal((await reconnected)[0].clientId, tablet.id);
    });
  }

  test(`socket.io-client ${version} authenticates by header, session id and cookie`, async (t) => {
    const daemon = await startDaemon(t);
    const tablet = await pair(daemon, "Wall", []);
    const session = await daemon.as(tablet.token)("POST", "/api/auth/session");
    const id = session.body.sessionId;
    const credentials = {
      header: { extraHeaders: { authorization: `Bearer ${tablet.token}` } },
      "session id as bearer": { extraHeaders: { authorization: `Bearer ${id}` } },
      cookie: { extraHeaders: { cookie: `sessionId=${id}` } },
      query: { query: { sessionId: id } },
    };
    for (const [kind, options] of Object.entries(credentials)) {
      for (const transports of Object.values(TRANSPORTS)) {
        const socket = connect(t, io, daemon, { transports, ...options });
        const [welcome] = await next(socket, "connected");
        assert.equal(welcome.clientId, tablet.id, `${kind} by ${transports}`);
      }
    }
  });

  test(`socket.io-client ${version} connects to the three kiosk namespaces only`, async (t) => {
    const daemon = await startDaemon(t);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const auth = { token: tablet.token };
    for (const path of ["/ws/lockers", "/ws/help", "/ws/events"]) {
      const socket = connect(t, io, daemon, { path, auth });
      const received = listen(socket);
      assert.equal((await next(socket, "connected"))[0].clientId, tablet.id);
      await daemon.admin("PATCH", `/api/areas/${area}/toggle`);
      await within("the ack", new Promise((done) => socket.emit("ping", {}, done)));
      assert.deepEqual(received.filter(([type]) => type !== "pong"), [], `${path} receives only its own events`);
    }
    const unknown = connect(t, io, daemon, { path: "/nowhere", auth });
    assert.equal((await next(unknown, "connect_error"))[0].message, "Invalid namespace");
  });
}

test("namespaces share a connection and disconnect separately", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  const { Manager } = await import("socket.io-client");
  const manager = new Manager(daemon.url, { ca: daemon.ca });
  const auth = { token: tablet.token };
  const [main, help] = [manager.socket("/", { auth }), manager.socket("/ws/help", { auth })];
  t.after(() => manager._close());
  await Promise.all([next(main, "connected"), next(help, "connected")]);
  const client = await daemon.admin("GET", `/api/clients/${tablet.id}`);
  assert.equal(client.body.sessions, 2, "each namespace is a session");
  main.disconnect();
  await within("the ack", new Promise((done) => help.emit("ping", {}, done)));
  assert.equal(help.connected, true);
});

test("a stop of the daemon is announced, and clients will reconnect", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  for (const transports of Object.values(TRANSPORTS)) {
    const socket = connect(t, newest, daemon, { transports, auth: { token: tablet.token } });
    await next(socket, "connected");
    daemon.sockets = [...(daemon.sockets ?? []), socket];
  }
  const ends = daemon.sockets.map((socket) =>
    Promise.all([next(socket, "server_shutdown"), next(socket, "disconnect")]),
  );
  daemon.child.kill("SIGTERM");
  for (const [[shutdown], [reason]] of await Promise.all(ends)) {
    assert.equal(typeof shutdown.reconnectAfterMs, "number");
    assert.notEqual(reason, "io server disconnect", "official clients reconnect");
  }
  assert.equal(await within("the daemon's exit", daemon.exited), 0);
});

test("a token in the URL is refused", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  for (const transports of [["polling"], ["websocket"]]) {
    const socket = connect(t, newest, daemon, {
      transports,
      query: { token: tablet.token },
      auth: { token: tablet.token },
      reconnection: false,
    });
    await next(socket, "connect_error");
    assert.equal(socket.connected, false);
  }
});

test("an unknown message type gets an error and the socket stays open", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  const socket = connect(t, newest, daemon, { auth: { token: tablet.token } });
  await next(socket, "connected");
  const refused = next(socket, "error");
  socket.emit("dance", {});
  const [error] = await refused;
  assert.equal(error.success, false);
  assert.equal(error.code, "unknown_type");
  assert.equal(error.error, error.message);
  const answer = await within("the ack", new Promise((done) => socket.emit("dance", {}, done)));
  assert.equal(answer.code, "unknown_type");
  await within("the ack", new Promise((done) => socket.emit("ping", {}, done)));
});

test("pairing_completed has the token for the tablet but not for admins", async (t) => {
  const daemon = await startDaemon(t);
  const area = await createArea(daemon, "Kitchen");
  const admin = connect(t, newest, daemon, { auth: { token: daemon.adminToken } });
  await next(admin, "connected");
  const requested = next(admin, "pairing_requested");
  const request = await daemon.as()("POST", "/api/pairing/requests", { name: "Wall" });
  const { pairingId, code, pairingToken } = request.body;
  assert.equal((await requested)[0].code, code);

  const tablet = connect(t, newest, daemon, { auth: { token: pairingToken } });
  assert.equal((await next(tablet, "connected"))[0].role, "pairing");
  const [completed, announced] = [next(tablet, "pairing_completed"), next(admin, "pairing_completed")];
  await daemon.admin("POST", `/api/pairing/requests/${code}/approve`, { areaIds: [area] });
  const [[mine], [theirs]] = await Promise.all([completed, announced]);
  assert.equal(mine.pairingId, pairingId);
  assert.deepEqual(mine.assignedAreas.map(({ id }) => id), [area]);
  assert.equal(theirs.clientId, mine.clientId);
  assert.equal("token" in theirs, false);

  const late = connect(t, newest, daemon, { auth: { token: pairingToken }, forceNew: true });
  const [again] = await next(late, "pairing_completed");
  assert.equal(again.token, mine.token, "the token can be fetched again until its first use");

  const ends = [next(tablet, "disconnect"), next(late, "disconnect")];
  const paired = connect(t, newest, daemon, { auth: { token: mine.token } });
  assert.equal((await next(paired, "connected"))[0].clientId, mine.clientId);
  await Promise.all(ends);
  const refused = connect(t, newest, daemon, { auth: { token: pairingToken } });
  assert.equal((await next(refused, "connect_error"))[0].message, "Authentication error");
});

/** Opens a raw Socket.IO connection. Returns the received packets and a promise of the close code. */
async function connectRaw(t, daemon) {
  const socket = new WebSocket(`wss://localhost:${daemon.port}/socket.io/?EIO=4&transport=websocket`, {
    ca: daemon.ca,
  });
  t.after(() => socket.terminate());
  const received = [];
  socket.on("message", (data) => received.push(data.toString()));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await next(socket, "message");
  return { socket, received, closed };
}

test("a connection with repeated wrong tokens is closed", async (t) => {
  const daemon = await startDaemon(t);
  const { socket, closed } = await connectRaw(t, daemon);
  for (let n = 0; n < 9; n++) socket.send('40{"token":"no.such.token"}');
  assert.equal(await within("the close", closed), 4401);
});

test("CONNECT packets are rate limited and the connection stays open", async (t) => {
  const daemon = await startDaemon(t, { WALLCAST_MESSAGES_PER_SECOND: "5" });
  const tablet = await pair(daemon, "Wall", []);
  const { socket, received } = await connectRaw(t, daemon);
  for (let n = 0; n < 50; n++) socket.send("40/nowhere,");
  while (!received.some((packet) => packet.includes("rate_limited"))) await next(socket, "message");
  while (!received.some((packet) => packet.startsWith("40{"))) {
    socket.send(`40${JSON.stringify({ token: tablet.token })}`);
    await next(socket, "message");
  }
});

test("a connection with several namespaces counts once and is superseded as a whole", async (t) => {
  const daemon = await startDaemon(t, { WALLCAST_MAX_SESSIONS_PER_CLIENT: "2" });
  const tablet = await pair(daemon, "Wall", []);
  const auth = { token: tablet.token };
  const { Manager } = await import("socket.io-client");
  const manager = new Manager(daemon.url, { ca: daemon.ca });
  t.after(() => manager._close());
  const paths = ["/", "/ws/lockers", "/ws/help", "/ws/events"];
  const first = paths.map((path) => manager.socket(path, { auth }));
  await Promise.all(first.map((socket) => next(socket, "connected")));
  const second = connect(t, newest, daemon, { auth });
  await next(second, "connected");
  await Promise.all(
    first.map((socket) => within("the ack", new Promise((done) => socket.emit("ping", {}, done)))),
  );
  const ends = first.map((socket) => Promise.all([next(socket, "error"), next(socket, "disconnect")]));
  const third = connect(t, newest, daemon, { auth });
  await next(third, "connected");
  for (const [[error], [reason]] of await Promise.all(ends)) {
    assert.equal(error.code, "superseded");
    assert.equal(reason, "io server disconnect");
  }
  assert.equal(second.connected, true);
});
