// A peer on Node.js: Socket.IO with a map of sockets, and better-sqlite3. A publication changes an area that every
// tablet is assigned.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";

import Database from "better-sqlite3";
import jwt from "jsonwebtoken";
import { Server } from "socket.io";

const AREA = "area_123";
const folder = process.env.WALLCAST_DATA_DIR;
const secret = randomBytes(32);

function certificate() {
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => path.join(folder, name));
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/CN=localhost", "-days", "1"];
  execFileSync("openssl", ["req", "-x509", ...curve, ...subject, "-keyout", key, "-out", cert], {
    stdio: "ignore",
  });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

const db = new Database(path.join(folder, "peer.db"));
db.pragma("journal_mode = WAL");
db.exec("CREATE TABLE areas (id TEXT PRIMARY KEY, name TEXT)");
db.exec("CREATE TABLE clients (id TEXT PRIMARY KEY, assigned_areas TEXT, is_active INTEGER)");
db.prepare("INSERT INTO areas VALUES (?, ?)").run(AREA, "Kitchen");
const rename = db.prepare("UPDATE areas SET name = ? WHERE id = ?");
const active = db.prepare("SELECT id, assigned_areas FROM clients WHERE is_active = ?");
const enroll = db.prepare("INSERT OR IGNORE INTO clients VALUES (?, ?, 1)");

/** Sockets by client id. */
const sockets = new Map();

function notifyClientsWithArea(area, event, data) {
  const clients = active.all(1).filter((client) => JSON.parse(client.assigned_areas).includes(area));
  for (const client of clients) {
    sockets.get(client.id)?.emit(event, data);
  }
}

let enrolled = 0;
const server = https.createServer(certificate(), async (request, response) => {
  if (request.url === "/publish") {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { type, data } = JSON.parse(Buffer.concat(chunks));
    rename.run(`Kitchen ${data.number}`, AREA);
    notifyClientsWithArea(AREA, type, data);
    response.end("{}");
  } else if (request.url === "/enroll") {
    // Gives the fleet a token without pairing.
    const username = `client_${enrolled++}`;
    enroll.run(username, JSON.stringify([AREA]));
    response.end(JSON.stringify({ token: jwt.sign({ username, role: "client" }, secret) }));
  }
});

// The fleet publishes over one connection, with pauses.
server.keepAliveTimeout = 0;

const io = new Server(server);
io.use((socket, next) => {
  try {
    socket.clientId = jwt.verify(socket.handshake.auth.token, secret).username;
    next();
  } catch {
    next(new Error("Authentication error"));
  }
});
io.on("connection", (socket) => {
  sockets.set(socket.clientId, socket);
  socket.emit("connected", { clientId: socket.clientId });
  socket.on("disconnect", () => sockets.delete(socket.clientId));
});

server.listen(0, "127.0.0.1", () => {
  console.log(`ready https=127.0.0.1:${server.address().port}`);
});
