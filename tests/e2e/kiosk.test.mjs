// Seed 3's own client example, a token's session id in the place of `your-session-id`, and the same by
// Socket.IO (contract 4.1, 4.2 and section 5).

import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import WS from "ws";

import { next, pair, startDaemon, within } from "./support.mjs";

async function house(t) {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Kiosk", []);
  await daemon.admin("PATCH", `/api/clients/${tablet.id}`, { kioskId: "kiosk-1" });
  await daemon.admin("POST", "/api/lockers", { id: "locker-123", kioskId: "kiosk-1", state: "closed" });
  return { daemon, tablet };
}

/** Waits until a line that begins with these words was logged, and gives it. */
function log() {
  const lines = [];
  let look = () => {};
  return {
    console: {
      log: (...line) => {
        lines.push(line);
        look();
      },
    },
    until: (words) =>
      within(
        words,
        new Promise((resolve) => {
          look = () => {
            const line = lines.find(([first]) => first === words);
            if (line) resolve(line);
          };
          look();
        }),
      ),
  };
}

test("seed 3's WebSocket client", async (t) => {
  const { daemon, tablet } = await house(t);
  const session = await daemon.as(tablet.token)("POST", "/api/auth/session", {});
  const { console, until } = log();
  // In the example's place: our port, our certificate, our session id.
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
  const [, words] = await until("Connection established:");
  assert.equal(words.clientId, tablet.id);
  const [, room] = await until("Joined room:");
  assert.equal(room, "kiosk-1");
  await daemon.admin("PATCH", "/api/lockers/locker-123", { state: "open" });
  const [, change] = await until("Locker state changed:");
  const { timestamp, ...rest } = change;
  assert.match(timestamp, /^\d{4}-.*Z$/);
  assert.deepEqual(rest, { lockerId: "locker-123", oldState: "closed", newState: "open", kioskId: "kiosk-1" });

  // Seed 3's second example: leaving, after which nothing more is told.
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
  test(`a kiosk by Socket.IO over ${transports} has the three namespaces`, async (t) => {
    const { daemon, tablet } = await house(t);
    const open = (path, token) => {
      const socket = io(daemon.url + path, { ca: daemon.ca, forceNew: true, transports, auth: { token } });
      t.after(() => socket.disconnect());
      return socket;
    };
    const emit = (socket, type, data) =>
      within(`the callback of ${type}`, new Promise((done) => socket.emit(type, data, done)));
    const [lockers, help, events] = ["/ws/lockers", "/ws/help", "/ws/events"].map((path) => open(path, tablet.token));
    const office = open("/", daemon.adminToken);
    await Promise.all([lockers, help, events, office].map((socket) => next(socket, "connected")));
    for (const socket of [lockers, help, events]) {
      const joined = await emit(socket, "join_room", { room: "kiosk-1" });
      assert.deepEqual(joined, { success: true, room: "kiosk-1" });
    }

    const told = Promise.all([next(lockers, "locker_state_changed"), next(office, "locker_state_changed")]);
    await daemon.admin("PATCH", "/api/lockers/locker-123", { state: "open" });
    for (const [data] of await told) assert.equal(data.newState, "open");

    const asked = Promise.all([next(help, "help_requested"), next(office, "help_requested")]);
    const answer = await emit(help, "help_request", { category: "access_issue", note: "Cannot open locker" });
    assert.equal(answer.success, true);
    for (const [data] of await asked) {
      assert.equal(data.id, answer.id);
      assert.deepEqual([data.kiosk_id, data.status], ["kiosk-1", "open"]);
    }
    const updated = next(help, "help_status_updated");
    await daemon.admin("PATCH", `/api/help/${answer.id}`, { status: "acknowledged" });
    assert.equal((await updated)[0].status, "acknowledged");

    const ordered = next(events, "command");
    const order = { type: "open", kioskId: "kiosk-1", lockerId: "locker-123" };
    const given = await daemon.admin("POST", "/api/commands", order);
    assert.equal(given.status, 201);
    const [command, offset] = await ordered;
    assert.equal(command.commandId, given.body.id);
    const status = async () => (await daemon.admin("GET", `/api/commands/${given.body.id}`)).body.status;
    assert.equal(await status(), "pending");
    const id = Number(offset.split(":")[1]);
    assert.equal((await emit(events, "ack", { id })).success, true);
    assert.equal(await status(), "delivered");
    const applied = Promise.all([next(events, "command_applied"), next(office, "command_applied")]);
    const result = { commandId: command.commandId, success: true };
    assert.equal((await emit(events, "command_result", result)).status, "applied");
    for (const [data] of await applied) {
      assert.deepEqual(data.command, { type: "open", lockerId: "locker-123", kioskId: "kiosk-1" });
      assert.equal(data.result.success, true);
    }
    assert.equal(await status(), "applied");
  });
}

test("a Socket.IO client that comes anew gets what is pending, and its recovery is none the worse", async (t) => {
  const { daemon, tablet } = await house(t);
  const given = await daemon.admin("POST", "/api/commands", { type: "open", clientId: tablet.id });
  const socket = io(daemon.url, { ca: daemon.ca, forceNew: true, auth: { token: tablet.token } });
  t.after(() => socket.disconnect());
  const heard = [];
  socket.on("command", (command) => heard.push(command.commandId));
  const [command] = await next(socket, "command");
  assert.equal(command.commandId, given.body.id);
  socket.io.engine.close();
  const later = await daemon.admin("POST", "/api/commands", { type: "close", clientId: tablet.id });
  await next(socket, "connect");
  assert.equal(socket.recovered, true);
  await within("the callback", new Promise((done) => socket.emit("ping", {}, done)));
  assert.deepEqual(heard, [given.body.id, later.body.id]);
});
