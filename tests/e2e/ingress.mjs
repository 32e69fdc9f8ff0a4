// A stand-in for Home Assistant's ingress. It strips a path prefix, adds and removes headers as Core and Supervisor
// do, drops the charset of content types, and cuts sockets on demand.

import { randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";

/** Starts a proxy to the daemon's ingress listener; the end of the test stops it. */
export async function startIngress(t, daemon) {
  const prefix = `/api/hassio_ingress/${randomBytes(24).toString("base64url")}`;
  const sockets = new Set();
  let origin;
  let isDown = false;
  const server = http.createServer((request, response) => {
    const path = pathBelowPrefix(request.url);
    if (path === undefined) return response.writeHead(404).end();
    if (isDown) return response.writeHead(502).end();
    if (isExploit(request.url)) return response.writeHead(400).end();
    const { "accept-encoding": _, ...headers } = request.headers;
    const sent = http.request(
      { host: "127.0.0.1", port: daemon.ingressPort, method: request.method, path, headers: { ...headers, ...addedHeaders() } },
      (answer) => {
        const { "content-type": type, ...kept } = answer.headers;
        if (type) kept["content-type"] = type.split(";")[0];
        response.writeHead(answer.statusCode, kept);
        answer.pipe(response);
      },
    );
    sent.on("error", () => response.headersSent || response.writeHead(502).end());
    request.pipe(sent);
  });
  server.on("upgrade", (request, near, head) => {
    const path = pathBelowPrefix(request.url);
    if (path === undefined || isDown) return near.destroy();
    const far = net.connect(daemon.ingressPort, "127.0.0.1", () => {
      const headers = { ...request.headers, ...addedHeaders() };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      far.write(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      far.write(head);
    });
    const pair = { near, far };
    sockets.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(pair);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  const pathBelowPrefix = (url) => (url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined);
  const addedHeaders = () => ({
    "x-ingress-path": prefix,
    "x-hass-source": "core.ingress",
    "x-forwarded-host": new URL(origin).host,
    "x-forwarded-proto": "http",
    "x-remote-user-id": "0123456789abcdef0123456789abcdef",
    "x-remote-user-name": "paula",
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  t.after(() => {
    for (const { near, far } of sockets) near.destroy(), far.destroy();
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `${origin}${prefix}/`,
    /** Cuts the open sockets, as Core does, and returns their number. New ones are forwarded. */
    cutSockets() {
      const n = sockets.size;
      for (const { near, far } of sockets) near.destroy(), far.destroy();
      return n;
    },
    /** Responds with 502 and refuses sockets until `restore`. */
    goDown() {
      isDown = true;
      for (const { near, far } of sockets) near.destroy(), far.destroy();
    },
    restore() {
      isDown = false;
    },
  };
}

/** Some of the patterns that Core and Supervisor refuse in a path or query. */
function isExploit(url) {
  const text = decodeURIComponent(url);
  return /\.\.\/|[a-z]=\/[a-z]+\/|concat\(|union.*select\(|<.*script.*>/i.test(text);
}
