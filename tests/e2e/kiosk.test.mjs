// Kiosks: the WebSocket client example for lockers with a real session id, and the same over Socket.IO
// (docs/protocol.md#lockers).

import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import WS from "ws";

import { next, pair, startDaemon, within } from "./support.mjs";

async function setUp(t) {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Kiosk", []);
  await daemon.admin("PATCH", `/api/clients/${tablet.id}`, { kioskId: "kiosk-1" });
  await daemon.admin("POST", "/api/lockers", { id: "locker-123", kioskId: "kiosk-1", state: "closed" });
  return { daemon, tablet };
}

/** A console that records its lines. `until` waits for a line whose first argument is `label`, and returns it. */
function recordConsole() {
  const lines = [];
  let check = () => {};
  return {
    console: {
      log: (...line) => {
        lines.push(line);
        check();
      },
    },
    until: (label) =>
      within(
        label,
        new Promise((resolve) => {
          check = () => {
            const line = lines.find(([first]) => first === label);
            if (line) resolve(line);
          };
          check();
        }),
      ),
  };
}

test("the WebSocket client example receives locker changes", async (t) => {
  const { daemon, tablet } = await setUp(t);
  const session = await daemon.as(tablet.token)("POST", "/api/auth/session", {});
  const { console, until } = recordConsole();
  // Replaces the URL, certificate and session id of the example.
  class WebSocket extends WS {
    constructor(url) {
      const here = url
        .replace("ws://localhost:3000", `wss://localhost:${daemon.port}`)
        .replace("your-session-id", session.body.sessionId);
      super(here, { ca: daemon.ca });
      t.after(() => this.terminate());
    }
  }

  const lockerSocket = new WebSocket("ws://localhost:3000/ws/lockers?sessionId=your-session-id");

  lockerSocket.onopen = () => {
    console.log("Connected to locker updates");

    lockerSocket.send(
      JSON.stringify({
        type: "join_room",
        room: "kiosk-1",
      }),
    );
  };

  lockerSocket.onmessage = (event) => {
    const message = JSON.parse(event.data);

    switch (message.type) {
      case "locker_state_changed":
        console.log("Locker state changed:", message.data);
        break;
      case "connection":
        console.log("Connection established:", message.data);
        break;
      case "room_joined":
        console.log("Joined room:", message.data.room);
        break;
    }
  };

  await until("Connected to locker updates");
  const [, welcome] = await until("Connection established:");
  assert.equal(welcome.clientId, tablet.id);
  const [, room] = await until("Joined room:");
  assert.equal(room, "kiosk-1");
  await daemon.admin("PATCH", "/api/lockers/locker-123", { state: "open" });
  const [, change] = await until("Locker state changed:");
  const { timestamp, ...rest } = change;
  assert.match(timestamp, /^\d{4}-.*Z$/);
  assert.deepEqual(rest, { lockerId: "locker-123", oldState: "closed", newState: "open", kioskId: "kiosk-1" });

  // The second example: leaving the room.
  const left = new Promise((resolve) => {
    lockerSocket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "room_left") resolve(message.data.room);
    });
  });
  lockerSocket.send(JSON.stringify({ type: "leave_room", room: "kiosk-1" }));
  assert.equal(await within("room_left", left), "kiosk-1");
});

for (const transports of [["websocket"], ["polling"]]) {
  test(`a kiosk over Socket.IO (${transports}) uses all three namespaces`, async (t) => {
    const { daemon, tablet } = await setUp(t);
    const open = (path, token) => {
      const socket = io(daemon.url + path, { ca: daemon.ca, forceNew: true, transports, auth: { token } });
      t.after(() => socket.disconnect());
      return socket;
    };
    const emit = (socket, type, data) =>
      within(`the callback of ${type}`, new Promise((done) => socket.emit(type, data, done)));
    const [lockers, help, events] = ["/ws/lockers", "/ws/help", "/ws/events"].map((path) => open(path, tablet.token));
    const admin = open("/", daemon.adminToken);
    await Promise.all([lockers, help, events, admin].map((socket) => next(socket, "connected")));
    for (const socket of [lockers, help, events]) {
      const joined = await emit(socket, "join_room", { room: "kiosk-1" });
      assert.deepEqual(joined, { success: true, room: "kiosk-1" });
    }

    const changes = Promise.all([next(lockers, "locker_state_changed"), next(admin, "locker_state_changed")]);
    await daemon.admin("PATCH", "/api/lockers/locker-123", { state: "open" });
    for (const [data] of await changes) assert.equal(data.newState, "open");

    const requests = Promise.all([next(help, "help_requested"), next(admin, "help_requested")]);
    const answer = await emit(help, "help_request", { category: "access_issue", note: "Cannot open locker" });
    assert.equal(answer.success, true);
    for (const [data] of await requests) {
      assert.equal(data.id, answer.id);
      assert.deepEqual([data.kiosk_id, data.status], ["kiosk-1", "open"]);
    }
    const updated = next(help, "help_status_updated");
    await daemon.admin("PATCH", `/api/help/${answer.id}`, { status: "acknowledged" });
    assert.equal((await updated)[0].status, "acknowledged");

    const commands = next(events, "command");
    const body = { type: "open", kioskId: "kiosk-1", lockerId: "locker-123" };
    const created = await daemon.admin("POST", "/api/commands", body);
    assert.equal(created.status, 201);
    const [command, offset] = await commands;
    assert.equal(command.commandId, created.body.id);
    const status = async () => (await daemon.admin("GET", `/api/commands/${created.body.id}`)).body.status;
    assert.equal(await status(), "pending");
    const id = Number(offset.split(":")[1]);
    assert.equal((await emit(events, "ack", { id })).success, true);
    assert.equal(await status(), "delivered");
    const applied = Promise.all([next(events, "command_applied"), next(admin, "command_applied")]);
    const result = { commandId: command.commandId, success: true };
    assert.equal((await emit(events, "command_result", result)).status, "applied");
    for (const [data] of await applied) {
      assert.deepEqual(data.command, { type: "open", lockerId: "locker-123", kioskId: "kiosk-1" });
      assert.equal(data.result.success, true);
    }
    assert.equal(await status(), "applied");
  });
}

test("a new Socket.IO session receives pending commands and is recovered later", async (t) => {
  const { daemon, tablet } = await setUp(t);
  const created = await daemon.admin("POST", "/api/commands", { type: "open", clientId: tablet.id });
  const socket = io(daemon.url, { ca: daemon.ca, forceNew: true, auth: { token: tablet.token } });
  t.after(() => socket.disconnect());
  const received = [];
  socket.on("command", (command) => received.push(command.commandId));
  const [command] = await next(socket, "command");
  assert.equal(command.commandId, created.body.id);
  socket.io.engine.close();
  const later = await daemon.admin("POST", "/api/commands", { type: "close", clientId: tablet.id });
  await next(socket, "connect");
  assert.equal(socket.recovered, true);
  await within("the callback", new Promise((done) => socket.emit("ping", {}, done)));
  assert.deepEqual(received, [created.body.id, later.body.id]);
});
