// Server-sent events as the `eventsource` package hears them, and POST /api/send beside them
// (contract 4.3).

import assert from "node:assert/strict";
import https from "node:https";
import { Readable } from "node:stream";
import { test } from "node:test";
import { EventSource } from "eventsource";
import { io } from "socket.io-client";

import { createArea, next, pair, startDaemon, within } from "./support.mjs";

/** An EventSource that trusts the daemon's certificate and brings a token, as `next` can wait for. */
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
  source.once = (name, heard) => source.addEventListener(name, heard, { once: true });
  return { source, requests };
}

test("an EventSource hears events by their type, with EPOCH:ID as id", async (t) => {
  const daemon = await startDaemon(t);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const { source } = listen(t, daemon, tablet.token);
  const [connection] = await next(source, "connection");
  const words = JSON.parse(connection.data);
  assert.equal(words.clientId, tablet.id);
  assert.equal(connection.lastEventId, `${words.epoch}:${words.lastEventId}`);

  const told = next(source, "area_updated");
  await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Küche" });
  const [event] = await told;
  assert.equal(JSON.parse(event.data).name, "Küche");
  assert.match(event.lastEventId, new RegExp(`^${words.epoch}:\\d+$`));

  const pong = next(source, "pong");
  const ping = { connectionId: words.connectionId, type: "ping" };
  const answer = await daemon.as(tablet.token)("POST", "/api/send", ping);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.success, true);
  assert.deepEqual(JSON.parse((await pong)[0].data).timestamp, answer.body.timestamp);
});

test("a Socket.IO session takes messages by POST as well", async (t) => {
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

test("an EventSource comes back by itself after an admin's disconnect, and says what it heard", async (t) => {
  const daemon = await startDaemon(t);
  const area = await createArea(daemon, "Kitchen");
  const tablet = await pair(daemon, "Wall", [area]);
  const { source, requests } = listen(t, daemon, tablet.token);
  await next(source, "connection");
  const told = next(source, "area_updated");
  await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Kitchen 2" });
  const [event] = await told;
  const again = next(source, "connection");
  await daemon.admin("POST", `/api/clients/${tablet.id}/disconnect`, {});
  const missed = next(source, "area_updated");
  await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Kitchen 3" });
  assert.equal(JSON.parse((await again)[0].data).recovered, true);
  assert.equal(JSON.parse((await missed)[0].data).name, "Kitchen 3");
  assert.equal(requests.length, 2);
  assert.equal(requests[1]["Last-Event-ID"], event.lastEventId);
});

test("an EventSource of a revoked tablet hears why, and stays away", async (t) => {
  const daemon = await startDaemon(t);
  const tablet = await pair(daemon, "Wall", []);
  const { source } = listen(t, daemon, tablet.token);
  await next(source, "connection");
  const words = next(source, "token_revoked");
  const codes = [];
  const refused = new Promise((resolve) => {
    source.addEventListener("error", (event) => {
      // Ours has data; the client's own say that the connection was lost, or how it was refused.
      if (event.data) codes.push(JSON.parse(event.data).code);
      else if (event.code === 401) resolve();
    });
  });
  await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, {});
  assert.equal(JSON.parse((await words)[0].data).clientId, tablet.id);
  await within("the refusal", refused);
  assert.deepEqual(codes, ["revoked"]);
  assert.equal(source.readyState, EventSource.CLOSED);
});
