// Server-sent events with the `eventsource` package, and POST /api/send (docs/protocol.md#server-sent-events).

import assert from "node:assert/strict";
import https from "node:https";
import { Readable } from "node:stream";
import { test } from "node:test";
import { EventSource } from "eventsource";
import { io } from "socket.io-client";

import { createArea, next, pair, startDaemon, within } from "./support.mjs";

/** Opens an EventSource that trusts the daemon's certificate and sends a token. `next` can wait for its events. */
function listen(t, daemon, token) {
  const requests = [];
  const fetch = (url, { headers, signal }) =>
    new Promise((resolve, reject) => {
      requests.push(headers);
      const options = { ca: daemon.ca, signal, agent: false };
      options.headers = { ...headers, authorization: `Bearer ${token}` };
      const sent = https.get(url, options, (response) => {
        const { statusCode: status, headers } = response;
        resolve(new Response(Readable.toWeb(response), { status, headers }));
      });
      sent.on("error", reject);
    });
  const source = new EventSource(`${daemon.url}/api/events`, { fetch });
  t.after(() => source.close());
  source.once = (name, handler) => source.addEventListener(name, handler, { once: true });
  return { source, requests };
}

test("an EventSource receives events by type with EPOCH:ID as id", async (t) => {
  const daemon = await startDaemon(t);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const { source } = listen(t, daemon, tablet.token);
  const [connection] = await next(source, "connection");
  const welcome = JSON.parse(connection.data);
  assert.equal(welcome.clientId, tablet.id);
  assert.equal(connection.lastEventId, `${welcome.epoch}:${welcome.lastEventId}`);

  const updated = next(source, "area_updated");
  await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Küche" });
  const [event] = await updated;
  assert.equal(JSON.parse(event.data).name, "Küche");
  assert.match(event.lastEventId, new RegExp(`^${welcome.epoch}:\\d+$`));

  const pong = next(source, "pong");
  const ping = { connectionId: welcome.connectionId, type: "ping" };
  const answer = await daemon.as(tablet.token)("POST", "/api/send", ping);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.success, true);
  assert.deepEqual(JSON.parse((await pong)[0].data).timestamp, answer.body.timestamp);
});

test("a Socket.IO session accepts messages by POST", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  const socket = io(daemon.url, { ca: daemon.ca, auth: { token: tablet.token } });
  t.after(() => socket.disconnect());
  const [{ connectionId }] = await next(socket, "connected");
  const pong = next(socket, "pong");
  const send = daemon.as(tablet.token);
  const answer = await send("POST", "/api/send", { connectionId, type: "ping" });
  assert.equal(answer.status, 200);
  assert.equal((await pong)[0].timestamp, answer.body.timestamp);
});

test("an EventSource reconnects after an admin's disconnect and resumes from its last event", async (t) => {
  const daemon = await startDaemon(t);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const { source, requests } = listen(t, daemon, tablet.token);
  await next(source, "connection");
  const updated = next(source, "area_updated");
  await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Kitchen 2" });
  const [event] = await updated;
  const reconnected = next(source, "connection");
  await daemon.admin("POST", `/api/clients/${tablet.id}/disconnect`, {});
  const missed = next(source, "area_updated");
  await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Kitchen 3" });
  assert.equal(JSON.parse((await reconnected)[0].data).recovered, true);
  assert.equal(JSON.parse((await missed)[0].data).name, "Kitchen 3");
  assert.equal(requests.length, 2);
  assert.equal(requests[1]["Last-Event-ID"], event.lastEventId);
});

test("an EventSource of a revoked tablet receives the reason and stays closed", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  const { source } = listen(t, daemon, tablet.token);
  await next(source, "connection");
  const revoked = next(source, "token_revoked");
  const codes = [];
  const refused = new Promise((resolve) => {
    source.addEventListener("error", (event) => {
      // Wallcast's error events have data. Those of the EventSource report a lost or refused connection.
      if (event.data) codes.push(JSON.parse(event.data).code);
      else if (event.code === 401) resolve();
    });
  });
  await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, {});
  assert.equal(JSON.parse((await revoked)[0].data).clientId, tablet.id);
  await within("the refusal", refused);
  assert.deepEqual(codes, ["revoked"]);
  assert.equal(source.readyState, EventSource.CLOSED);
});
