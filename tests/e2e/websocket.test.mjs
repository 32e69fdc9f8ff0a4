// A plain WebSocket client (docs/protocol.md#json-websocket).

import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";

import { createArea, next, pair, startDaemon } from "./support.mjs";

for (const path of ["/", "/ws"]) {
  test(`a plain WebSocket on ${path} receives its area's events until it is revoked`, async (t) => {
    const daemon = await startDaemon(t);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const socket = new WebSocket(`wss://localhost:${daemon.port}${path}`, {
      ca: daemon.ca,
      headers: { authorization: `Bearer ${tablet.token}` },
    });
    t.after(() => socket.terminate());
    const read = async () => JSON.parse((await next(socket, "message"))[0].toString());
    assert.equal((await read()).type, "connection");
    const updated = read();
    await daemon.admin("PATCH", `/api/areas/${area}`, { name: "Kitchen 2" });
    const event = await updated;
    assert.equal(event.type, "area_updated");
    assert.equal(event.data.name, "Kitchen 2");
    assert.ok(Number.isInteger(event.id));
    const closed = next(socket, "close");
    await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, {});
    const [code, reason] = await closed;
    assert.deepEqual([code, reason.toString()], [4403, "revoked"]);
  });
}
