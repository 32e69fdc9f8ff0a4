// Clients for each dialect (docs/protocol.md#dialects), used by the "Try it out" view. A token is first exchanged
// for a session id, because browsers cannot set an Authorization header on a WebSocket or EventSource.

import { Wallcast } from "../wallcast.js";
import { call } from "./api.js";

export const dialects = {
  websocket: { name: "JSON WebSocket", paths: ["/ws", "/ws/lockers", "/ws/help", "/ws/events"], open: openSocket },
  sse: { name: "Server-sent events + POST", paths: ["/api/events"], open: openStream },
  socketio: { name: "Socket.IO", paths: ["/", "/ws/lockers", "/ws/help", "/ws/events"], open: openSocketIo },
};

async function createSession(token) {
  if (!token) return undefined;
  const result = await call("POST", "api/auth/session", undefined, { token, keyed: false });
  return result.sessionId;
}

function endSession(sessionId) {
  if (!sessionId) return;
  call("DELETE", "api/auth/session", undefined, { token: sessionId, keyed: false }).catch(() => {
    // Ignored: the session also ends with its token.
  });
}

async function openSocket({ base, token, path, onState, onMessage }) {
  const sessionId = await createSession(token);
  const url = new URL(path.slice(1), base);
  url.protocol = url.protocol.replace("http", "ws");
  if (sessionId) url.searchParams.set("sessionId", sessionId);
  const socket = new WebSocket(url);
  let isClosed = false;
  socket.onopen = () => onState({ phase: "online" });
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    onMessage(frame.type, frame);
  };
  socket.onclose = ({ code, reason }) => {
    if (!isClosed) onState({ phase: "ended", reason: `${code} ${reason}` });
    endSession(sessionId);
  };
  let next = 1;
  return {
    send: async (type, data) => socket.send(JSON.stringify({ type, data, requestId: `try-${next++}` })),
    close: () => {
      isClosed = true;
      socket.close();
    },
  };
}

async function openStream({ base, token, onState, onMessage }) {
  const sessionId = await createSession(token);
  const wallcast = new Wallcast({ base: base.href, sessionId, transports: ["sse"] });
  wallcast.on("*", (data, { type, id, timestamp }) => {
    if (type !== "state") onMessage(type, { id, type, data, timestamp });
  });
  wallcast.on("state", onState);
  wallcast.connect();
  return {
    send: (type, data) => wallcast.send(type, data),
    close: () => {
      wallcast.close();
      endSession(sessionId);
    },
  };
}

async function openSocketIo({ base, token, path, onState, onMessage }) {
  const { io } = await import("../vendor/socket.io-client/socket.io.esm.min.js");
  const prefix = `${base.pathname}socket.io/`;
  const socket = io(`${base.origin}${path === "/" ? "/" : path}`, {
    path: prefix,
    auth: token ? { token } : {},
    forceNew: true,
  });
  socket.on("connect", () => onState({ phase: "online", transport: socket.io.engine.transport.name }));
  socket.on("disconnect", (reason) => onState({ phase: socket.active ? "waiting" : "ended", reason }));
  socket.on("connect_error", (error) => {
    onState({ phase: socket.active ? "waiting" : "ended", reason: error.data?.code ?? error.message });
  });
  socket.onAny((type, data, offset) => onMessage(type, { type, data, offset }));
  return {
    send: (type, data) => socket.timeout(10_000).emitWithAck(type, data),
    close: () => socket.disconnect(),
  };
}
