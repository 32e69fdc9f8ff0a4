// Messages over Socket.IO: connect, `authenticate` with a token, and receive messages (docs/protocol.md#messages).

import assert from "node:assert/strict";
import { test } from "node:test";
import io from "socket.io-client";

import { next, startDaemon, within } from "./support.mjs";

/** The client example, with `tokenOf` in place of the local storage. */
function connect(t, daemon, transports, tokenOf) {
  const socket = io(daemon.url, { transports, ca: daemon.ca, forceNew: true });
  t.after(() => socket.disconnect());
  const received = [];
  socket.on("connect", () => {
    const token = tokenOf();
    socket.emit("authenticate", { token });
  });
  for (const name of [
    "new_message",
    "message_status_update",
    "unread_count_update",
    "conversation_update",
  ]) {
    socket.on(name, (data) => received.push([name, data]));
  }
  return { socket, received };
}

async function userToken(daemon, subject) {
  const body = { role: "user", name: subject, subject, email: `${subject}@example.org` };
  return (await daemon.admin("POST", "/api/tokens", body)).body.token;
}

for (const transports of [["websocket", "polling"], ["polling"]]) {
  test(`a client over ${transports} receives messages, unread counts and statuses`, async (t) => {
    const daemon = await startDaemon(t);
    const token = await userToken(daemon, "ann");
    const { socket, received } = connect(t, daemon, transports, () => token);
    const [authenticated] = await next(socket, "authenticated");
    assert.equal(authenticated.userId, "ann");
    assert.equal(authenticated.email, "ann@example.org");

    const events = [next(socket, "new_message"), next(socket, "conversation_update")];
    const sent = await daemon.admin("POST", "/api/messages", {
      to: { userId: "ann" },
      platform: "slack",
      body: "Hello",
    });
    assert.equal(sent.status, 201);
    const [[data, offset]] = await Promise.all(events);
    assert.deepEqual(data.message, sent.body);
    assert.equal(data.conversation.unread, 1);
    assert.deepEqual(received.map(([name]) => name), [
      "new_message",
      "unread_count_update",
      "conversation_update",
    ]);
    assert.deepEqual(received[1][1].unreadCounts, { slack: 1, wallcast: 0 });
    assert.equal(received[1][1].totalUnread, 1);

    const delivered = next(socket, "message_status_update");
    const id = Number(offset.split(":").at(-1));
    await within("the ack", new Promise((done) => socket.emit("ack", { id }, done)));
    assert.equal((await delivered)[0].status, "delivered");

    const read = [next(socket, "message_status_update"), next(socket, "unread_count_update")];
    socket.emit("message_status", { messageId: sent.body.id, status: "read" });
    const [[status], [unread]] = await Promise.all(read);
    assert.deepEqual(Object.keys(status).sort(), [
      "conversationId",
      "messageId",
      "status",
      "timestamp",
    ]);
    assert.equal(status.status, "read");
    assert.equal(unread.totalUnread, 0);
  });
}

test("a wrong token gets auth_error", async (t) => {
  const daemon = await startDaemon(t);
  const { socket } = connect(t, daemon, ["websocket", "polling"], () => "YOUR_JWT_TOKEN");
  const [error] = await next(socket, "auth_error");
  assert.equal(typeof error.message, "string");
});

test("two sockets of a user receive the same events and count as one user", async (t) => {
  const daemon = await startDaemon(t);
  const token = await userToken(daemon, "ann");
  const both = [1, 2].map(() => connect(t, daemon, ["websocket", "polling"], () => token));
  await Promise.all(both.map(({ socket }) => next(socket, "authenticated")));
  const health = (await daemon.as()("GET", "/health")).body;
  assert.equal(health.status, "ok");
  assert.equal(health.services.database, "connected");
  assert.deepEqual(health.services.websocket, {
    status: "active",
    connections: 2,
    authenticatedUsers: 1,
  });
  const events = both.map(({ socket }) => next(socket, "conversation_update"));
  await daemon.admin("POST", "/api/messages", { to: { userId: "ann" }, body: "Hello" });
  await Promise.all(events);
  assert.deepEqual(both[0].received, both[1].received);

  const disconnects = both.map(({ socket }) => next(socket, "disconnect"));
  const answer = await daemon.admin("POST", "/api/users/ann/disconnect", {});
  assert.equal(answer.body.disconnected, 2);
  await Promise.all(disconnects);
});

test("a message for an offline user is delivered at the next connection", async (t) => {
  const daemon = await startDaemon(t);
  const token = await userToken(daemon, "ann");
  const sent = await daemon.admin("POST", "/api/messages", { to: { userId: "ann" }, body: "Hi" });
  const { socket } = connect(t, daemon, ["websocket", "polling"], () => token);
  const [data] = await next(socket, "new_message");
  assert.deepEqual(data.message, sent.body);
});
