// Rooms, broadcasts and statistics with the client examples in rooms/ (docs/protocol.md#rooms), and /metrics with
// Prometheus' parser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

import { createArea, next, pair, run, startDaemon } from "./support.mjs";

const PYTHON = process.env.PYTHON ?? "python3";
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Starts a daemon with a plain HTTP listener, one area, and a tablet that is assigned to it. */
async function setUp(t) {
  const daemon = await startDaemon(t, { WALLCAST_PLAIN_LISTEN: "127.0.0.1:0", WALLCAST_HEARTBEAT_SECONDS: "1" });
  const area = await createArea(daemon, "Living Room");
  const tablet = await pair(daemon, "Wall", [area]);
  const env = {
    PATH: process.env.PATH,
    WALLCAST_WS: `ws://localhost:${daemon.plainPort}/ws`,
    WALLCAST_TOKEN: tablet.token,
  };
  return { daemon, area, tablet, env };
}

const notification = {
  type: "custom_notification",
  data: { message: "System maintenance scheduled", level: "warning", expires_at: "2025-07-16T22:00:00Z" },
};

test("the JavaScript example subscribes to its room and receives its events", async (t) => {
  const { daemon, area, env } = await setUp(t);
  const client = run(t, process.execPath, [here("rooms/client.mjs")], { env });
  await client.until(/Received: .*"room_subscribed".*"room_id":1/);
  const areas = (await daemon.admin("GET", "/api/areas")).body.areas;
  assert.equal(areas[0].roomId, 1);
  await daemon.admin("PUT", `/api/areas/${area}`, { name: "Lounge" });
  await client.until(/Room: \{"action":"updated","room_id":1,"room_name":"Lounge"\}/);
  await client.until(/Received: .*"type":"heartbeat","data":\{"clients":1,/);
  await daemon.admin("DELETE", `/api/areas/${area}`);
  await client.until(/Room: \{"action":"deleted","room_id":1,"room_name":"Lounge"\}/);
  await daemon.restart("SIGTERM");
  await client.until(/WebSocket connection closed/);
});

test("the Python example receives a pong and a broadcast", async (t) => {
  const { daemon, tablet, env } = await setUp(t);
  const client = run(t, PYTHON, [here("rooms/client.py")], { env });
  await client.until(/Received: \{'type': 'connection', 'data': \{.*'status': 'connected'/);
  await client.until(new RegExp(`'client_id': '${tablet.id}'`));
  await client.until(/Received: \{'type': 'pong', 'data': \{'timestamp': '[^']+'\}, 'timestamp': '[^']+'\}/);
  const sent = await daemon.admin("POST", "/api/v1/websocket/broadcast", notification);
  assert.deepEqual([sent.status, sent.body], [
    200,
    {
      success: true,
      data: {
        message: "Message broadcasted successfully",
        clients_count: 1,
        message_type: "custom_notification",
      },
      timestamp: sent.body.timestamp,
    },
  ]);
  await client.until(/'custom_notification'.*'System maintenance scheduled'/);
  const stats = (await daemon.admin("GET", "/api/v1/websocket/stats")).body;
  assert.equal(stats.success, true);
  assert.deepEqual(Object.keys(stats.data).sort(), [
    "connected_clients",
    "last_activity",
    "messages_received",
    "messages_sent",
    "total_connections",
  ]);
  assert.equal(stats.data.connected_clients, 1);
  assert.equal(stats.data.messages_received, 1);
  assert.ok(stats.data.messages_sent >= 3);
});

test("a broadcast to a namespace reaches its sockets and rooms", async (t) => {
  const { daemon, tablet } = await setUp(t);
  const session = await daemon.as(tablet.token)("POST", "/api/auth/session", {});
  const url = `ws://localhost:${daemon.plainPort}/ws/lockers?sessionId=${session.body.sessionId}`;
  const socket = new WebSocket(url);
  t.after(() => socket.terminate());
  const read = async (type) => {
    for (;;) {
      const message = JSON.parse((await next(socket, "message"))[0].toString());
      if (message.type === type) return message;
    }
  };
  await read("connection");
  const joined = read("room_joined");
  socket.send(JSON.stringify({ type: "join_room", room: tablet.id }));
  assert.equal((await joined).data.room, tablet.id);
  for (const room of [undefined, tablet.id]) {
    const sent = read("test_event");
    const body = { namespace: "/ws/lockers", event: "test_event", data: { message: "Hello world" }, room };
    const answer = await daemon.admin("POST", "/api/websocket/broadcast", body);
    assert.equal(answer.body.data.clients_count, 1);
    assert.deepEqual((await sent).data, { message: "Hello world" });
  }
  const status = (await daemon.admin("GET", "/api/websocket/status")).body;
  assert.equal(status.status, "active");
  assert.deepEqual(status.namespaces, { "/ws/lockers": 1, "/ws/help": 0, "/ws/events": 0 });
});

test("Prometheus' parser reads the metrics", async (t) => {
  const { daemon } = await setUp(t);
  const { status, headers, text } = await daemon.admin("GET", "/metrics");
  assert.equal(status, 200);
  assert.match(headers["content-type"], /^text\/plain; version=0\.0\.4/);
  const parser = run(t, PYTHON, [here("rooms/metrics.py")], { env: { PATH: process.env.PATH }, input: text });
  const printed = await parser.until(/\n$/);
  const families = JSON.parse(printed);
  assert.equal(families.wallcast_sessions.type, "gauge");
  assert.equal(families.wallcast_sessions.samples.length, 4);
  assert.equal(families.wallcast_messages_sent.type, "counter");
  assert.equal(families.wallcast_delivery_seconds.type, "summary");
  const names = families.wallcast_delivery_seconds.samples.map(([name]) => name);
  assert.deepEqual(new Set(names), new Set(["", "_sum", "_count"].map((s) => `wallcast_delivery_seconds${s}`)));
  for (const [name, family] of Object.entries(families)) {
    assert.ok(family.help, `${name} has a help text`);
    assert.notEqual(family.type, "unknown", name);
  }
});
