// A stand-in of Home Assistant's ingress: a prefix that the daemon does not see, the headers that Core
// and Supervisor add and take, a content type without its charset, and sockets that are cut on demand.

import { randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";

/** Speaks to the daemon's ingress listener; the test's end stops it. */
export async function startIngress(t, daemon) {
  const prefix = `/api/hassio_ingress/${randomBytes(24).toString("base64url")}`;
  const sockets = new Set();
  let origin;
  let isDown = false;
  const server = http.createServer((request, response) => {
    const path = below(request.url);
    if (path === undefined) return response.writeHead(404).end();
    if (isDown) return response.writeHead(502).end();
    if (isExploit(request.url)) return response.writeHead(400).end();
    const { "accept-encoding": _, ...headers } = request.headers;
    const sent = http.request(
      { host: "127.0.0.1", port: daemon.ingressPort, method: request.method, path, headers: { ...headers, ...added() } },
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
    const path = below(request.url);
    if (path === undefined || isDown) return near.destroy();
    const far = net.connect(daemon.ingressPort, "127.0.0.1", () => {
      const headers = { ...request.headers, ...added() };
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
  const below = (url) => (url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined);
  const added = () => ({
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
    /** Cuts the sockets that are open, as Core does; new ones come through at once. */
    cutSockets() {
      const n = sockets.size;
      for (const { near, far } of sockets) near.destroy(), far.destroy();
      return n;
    },
    /** Answers 502 and takes no socket until `mend`. */
    breakDown() {
      isDown = true;
      for (const { near, far } of sockets) near.destroy(), far.destroy();
    },
    mend() {
      isDown = false;
    },
  };
}

/** Some of what both hops refuse in a path or query. */
function isExploit(url) {
  const text = decodeURIComponent(url);
  return /\.\.\/|[a-z]=\/[a-z]+\/|concat\(|union.*select\(|<.*script.*>/i.test(text);
}
