// wallcast.js: the browser client of a Wallcast server. One module without dependencies, written in
// ES2018: Chrome 64, Firefox 65, Safari 11.1 and later, and Node 18 (pass it a WebSocket class there).
//
//   import { Wallcast } from "https://HOST:8443/wallcast.js";
//
//   const wallcast = new Wallcast({ base: "https://HOST:8443/", token, storage: localStorage });
//   wallcast.on("connection", (welcome) => draw(welcome.assignedAreas));
//   wallcast.on("area_updated", (area, event) => { if (!event.isReplayed) redraw(area); });
//   wallcast.on("state", ({ phase, reason }) => show(phase, reason));
//   wallcast.connect();
//   await wallcast.send("call_service", { entityId: "light.kitchen", service: "toggle" });
//   const { states } = await wallcast.request("GET", "api/entities");
//
// Options; only `base` is required:
//
//   base        URL of the server, absolute or (in a browser) relative to the page. A path prefix, such as
//               that of Home Assistant's ingress, is kept.
//   token       Bearer token. Alternatively `sessionId`, the opaque id that `POST api/auth/session`
//               returns. Without either, the browser's session cookie authenticates.
//   storage     Keeps the resume position across page loads: an object with `getItem` and `setItem`.
//               Credentials are never stored.
//   storageKey  Key of that entry in `storage`; "wallcast" by default.
//   transports  Transports in order of preference; ["websocket", "sse"] by default.
//   fetch, WebSocket  Replacements for the global ones.
//
// Resume. The client stores the epoch and the id of the last event, sends them when it reconnects, and
// acknowledges events after their handlers have run. Missed events arrive with `isReplayed` set; the state
// in the welcome event (`connection`) is newer than they are. After `resync_required` the missed events
// are gone, and only the welcome event's state is valid (docs/protocol.md#resync).
//
// Transports. The client prefers a JSON WebSocket. Where WebSockets repeatedly fail it uses server-sent
// events with `POST api/send` instead, and remembers that for a day.
//
// Reconnecting. After a lost connection the client reconnects with exponential backoff and jitter. It
// waits at least as long as `server_shutdown` or, after 429 and 503, `Retry-After` asks for. The close
// codes 4400 to 4499 are final (docs/protocol.md#close-codes), except that `unauthenticated` is checked
// with `GET api/me` first. The same request finds out why an upgrade was refused, because browsers do not
// report it. A silent connection is probed with `ping` and replaced withTimeout seconds. Timers stop while a
// device sleeps, so the client detects a sleep by comparing clocks.
//
// The property `state`, also emitted as the event `state`, is `{phase, transport, since, retryAt, reason,
// message}`. Phases: "idle", "connecting", "online", "waiting" (until `retryAt`), and "ended", which is
// final until the next `connect()`; its `reason` is `revoked`, `inactive`, `superseded`,
// `unauthenticated`, `token_expired`, `invalid_token`, … `words` is the data of the last welcome event;
// `heardAt` is the time of the last data from the server, in ms. `send` and `request` reject with a
// WallcastError `{message, code, status}`, whose `code` is the server's error code, `offline` or `timeout`.

/** Initial and largest backoff between attempts. Jitter shortens each delay by up to half. */
const INITIAL_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 15000;
/**
 * Time for the welcome event to arrive, from the start of an attempt and from the opening of the transport.
 * A socket without valid credentials opens but receives nothing.
 */
const WELCOME_TIMEOUT_MS = 8000;
const WELCOME_AFTER_OPEN_TIMEOUT_MS = 2500;
/**
 * Silence after which the connection is probed, and how long the answer may take. After a sleep the time
 * is shorter, because somebody has probably just touched the tablet.
 */
const PROBE_AFTER_MS = 4000;
const PROBE_TIMEOUT_MS = 3000;
const PROBE_AFTER_SLEEP_TIMEOUT_MS = 600;
const TICK_MS = 1000;
/** A tick that is off by more than this means that the device slept or its clock was set. */
const SLEEP_THRESHOLD_MS = 4000;
const ACK_DELAY_MS = 250;
const SAVE_DELAY_MS = 500;
const REQUEST_TIMEOUT_MS = 12000;
/** How long a fallback transport is remembered, and after how many failures in a row it is used. */
const FALLBACK_TTL_MS = 24 * 3600 * 1000;
const FAILURES_TO_SWITCH = 2;
/** Error codes that are final on a transport without close codes (server-sent events). */
const FINAL_CODES = ["unauthenticated", "revoked", "auth_timeout", "superseded", "inactive"];

export class WallcastError extends Error {
  constructor(message, code, status, retryAfterMs) {
    super(message);
    Object.assign(this, { name: "WallcastError", code, status, retryAfterMs });
  }
}

export class Wallcast {
  constructor(options) {
    const pageUrl = typeof location === "undefined" ? undefined : location.href;
    this.base = new URL(options.base || "./", pageUrl);
    this.token = options.token;
    this.sessionId = options.sessionId;
    this._storage = options.storage;
    this._storageKey = options.storageKey || "wallcast";
    this._transports = options.transports || ["websocket", "sse"];
    this._fetch = options.fetch || ((...request) => fetch(...request));
    this._WebSocket = options.WebSocket || (typeof WebSocket === "undefined" ? null : WebSocket);
    this.state = { phase: "idle", since: Date.now() };
    this.words = null;
    this.heardAt = 0;
    this._handlers = new Map();
    this._pendingRequests = new Map();
    this._requestCount = this._attempt = this._failureCount = this._clockSkew = 0;
    this._connection = null;
    this._saved = this._load();
    this._onWake = () => this.check();
  }

  /**
   * Calls `handler(data, event)` for each event of `type`, or of any type with "*". Returns a function that
   * unsubscribes.
   */
  on(type, handler) {
    if (!this._handlers.has(type)) this._handlers.set(type, new Set());
    this._handlers.get(type).add(handler);
    return () => this._handlers.get(type).delete(handler);
  }

  /** Connects, and reconnects until `close()` is called or the server ends the session for good. */
  connect() {
    if (["connecting", "online"].includes(this.state.phase)) return;
    this._attempt = this._failureCount = 0;
    this._lastTick = Date.now();
    if (!this._tickTimer) {
      this._tickTimer = setInterval(() => this._tick(), TICK_MS);
      for (const [target, name] of wakeEvents()) target.addEventListener(name, this._onWake);
    }
    this._open();
  }

  close() {
    this._stop();
    this._setState({ phase: "idle" });
  }

  /** Discards the resume position and the remembered transport. Call it before connecting as another client. */
  forget() {
    this._saved = {};
    this._save();
  }

  /** The server's clock, in ms since 1970. */
  now() {
    return Date.now() + this._clockSkew;
  }

  /** Sends a message and resolves with the `data` of its result. */
  send(type, data, { timeoutMs = REQUEST_TIMEOUT_MS } = {}) {
    if (this.state.phase !== "online") return Promise.reject(new WallcastError("Not connected", "offline"));
    return this._sendRequest(type, data || {}, timeoutMs);
  }

  /** Sends an HTTP request to `path`, relative to `base`. Resolves with the JSON body, or null if there is none. */
  async request(method, path, body, { timeoutMs = REQUEST_TIMEOUT_MS } = {}) {
    const readBody = async (response) => [response, await response.json().catch(() => null)];
    const [response, result] = await withTimeout(timeoutMs, this._fetchApi(method, path, body).then(readBody));
    if (response.ok) return result;
    const { error = `The server responded with status ${response.status}`, code = "http_error" } = result || {};
    const retryAfterMs = Number(response.headers.get("retry-after")) * 1000;
    throw new WallcastError(error, code, response.status, retryAfterMs || undefined);
  }

  /**
   * Probes the connection, or reconnects at once while waiting to reconnect, unless the server asked for a
   * delay. The connection is replaced if nothing arrives within `timeoutMs`.
   */
  check(timeoutMs = PROBE_TIMEOUT_MS) {
    if (this.state.phase === "waiting" && !this._hasMinimumDelay) this._open();
    else if (this.state.phase === "online") this._probe(timeoutMs);
  }

  _open() {
    this._closeConnection();
    const transport = this._chooseTransport();
    const connection = (this._connection = { transport });
    this._setState({ phase: "connecting", transport });
    if (this._connection !== connection) return; // A handler of `state` called close().
    const ifCurrent = (handler) => (...args) => this._connection === connection && handler(...args);
    const hooks = {
      open: ifCurrent(() => awaitWelcome(WELCOME_AFTER_OPEN_TIMEOUT_MS)),
      received: ifCurrent(() => (this.heardAt = Date.now())),
      message: ifCurrent((message) => this._onMessage(message)),
      closed: ifCurrent((cause) => this._onClosed(cause)),
    };
    const awaitWelcome = (ms) => {
      clearTimeout(connection.timer);
      connection.timer = setTimeout(() => hooks.closed({ silent: true }), ms);
    };
    awaitWelcome(WELCOME_TIMEOUT_MS);
    try {
      Object.assign(connection, transport === "sse" ? this._openEventStream(hooks) : this._openSocket(hooks));
    } catch (error) {
      setTimeout(() => hooks.closed({ error }), 0);
    }
  }

  _chooseTransport() {
    const available = this._transports.filter((name) => name !== "websocket" || this._WebSocket);
    const { transport, transportUntil } = this._saved;
    return available.includes(transport) && Date.now() < transportUntil ? transport : available[0];
  }

  _openSocket(hooks) {
    const url = new URL("ws", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    const { epoch, lastEventId } = this._saved;
    if (epoch !== undefined) {
      url.searchParams.set("since", lastEventId);
      url.searchParams.set("epoch", epoch);
    }
    if (this.sessionId && !this.token) url.searchParams.set("sessionId", this.sessionId);
    const socket = new this._WebSocket(url.href);
    socket.onopen = () => {
      hooks.open();
      if (this.token) transmit("authenticate", { token: this.token });
    };
    socket.onmessage = ({ data }) => {
      hooks.received();
      hooks.message(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => hooks.closed({ code, reason });
    socket.onerror = () => {};
    const transmit = (type, data, requestId) => socket.send(JSON.stringify({ type, data, requestId }));
    const close = () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    };
    return { transmit, close };
  }

  _openEventStream(hooks) {
    let reader = null;
    let isClosed = false;
    const { epoch, lastEventId } = this._saved;
    const headers = { accept: "text/event-stream" };
    if (epoch !== undefined) headers["last-event-id"] = `${epoch}:${lastEventId}`;
    const read = async () => {
      const response = await this._fetchApi("GET", "api/events", undefined, headers);
      if (!response.ok) {
        const { code, error } = (await response.json().catch(() => null)) || {};
        const retryAfterMs = Number(response.headers.get("retry-after")) * 1000;
        return { refused: { status: response.status, code, message: error, retryAfterMs } };
      }
      hooks.open();
      reader = response.body.getReader();
      if (isClosed) return reader.cancel();
      const parse = eventStreamParser((event) => hooks.message(event));
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return {};
        hooks.received();
        parse(decoder.decode(value, { stream: true }));
      }
    };
    read().then(hooks.closed, (error) => hooks.closed({ error }));
    const transmit = (type, data, requestId) => {
      const message = { connectionId: this.words.connectionId, type, data };
      this.request("POST", "api/send", message)
        .then((answer) => ({ success: true, ...answer }))
        .catch(({ code, message }) => ({ success: false, code, error: message }))
        .then((data) => requestId && hooks.message({ type: "result", requestId, data }));
    };
    const close = () => {
      isClosed = true;
      if (reader) reader.cancel().catch(() => {});
    };
    return { transmit, close };
  }

  _fetchApi(method, path, body, headers = {}) {
    const credential = this.token || this.sessionId;
    if (credential) headers.authorization = `Bearer ${credential}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const options = { method, headers, body: JSON.stringify(body), credentials: "include", cache: "no-store" };
    return this._fetch(new URL(path, this.base).href, options).catch((error) => {
      throw new WallcastError(error.message, "offline");
    });
  }

  _onMessage({ type, data, id, timestamp, requestId }) {
    if (type === "result") return this._onResult(requestId, data);
    data = data || {};
    const clock = Date.parse(timestamp || data.timestamp);
    // A replayed event carries the time at which it happened, so it says nothing about the clock.
    const isReplayed = Boolean(this.words && this.words.recovered && id <= this.words.lastEventId);
    if (clock && !isReplayed && ["connection", "heartbeat", "pong"].includes(type)) {
      this._clockSkew = clock - Date.now();
    }
    if (type === "connection") return this._onWelcome(data);
    if (type === "server_shutdown") this._shutdownDelayMs = data.reconnectAfterMs;
    if (type === "error" || type === "auth_error") this._lastError = data;
    this._emit(type, data, { id, timestamp, isReplayed });
    const position = type === "heartbeat" ? data.lastEventId : id;
    if (position > this._saved.lastEventId) {
      this._saved.lastEventId = position;
      this._scheduleSave();
    }
    if (id) this._scheduleAck();
  }

  _onWelcome(welcome) {
    clearTimeout(this._connection.timer);
    this.words = welcome;
    this._failureCount = 0;
    this._onlineSince = Date.now();
    this._shutdownDelayMs = this._lastError = undefined;
    if (!welcome.recovered) Object.assign(this._saved, { epoch: welcome.epoch, lastEventId: welcome.lastEventId });
    if (this._connection.transport !== this._transports[0] && this._saved.transport !== this._connection.transport) {
      this._saved.transport = this._connection.transport;
      this._saved.transportUntil = Date.now() + FALLBACK_TTL_MS;
    }
    this._scheduleSave();
    this._setState({ phase: "online", transport: this._connection.transport });
    this._emit("connection", welcome, {});
    if (!welcome.recovered) this._scheduleAck(); // The welcome state covers every earlier event.
  }

  _emit(type, data, event) {
    const full = Object.assign({ type, data }, event);
    for (const name of [type, "*"]) {
      for (const handler of this._handlers.get(name) || []) {
        try {
          handler(data, full);
        } catch (error) {
          // Reported as an unhandled rejection, so that the other handlers still run.
          setTimeout(() => Promise.reject(error), 0);
        }
      }
    }
  }

  _sendRequest(type, data, timeoutMs) {
    const requestId = `r${++this._requestCount}`;
    const result = new Promise((resolve, reject) => this._pendingRequests.set(requestId, { resolve, reject }));
    this._connection.transmit(type, data, requestId);
    const done = () => this._pendingRequests.delete(requestId);
    result.then(done, done);
    return withTimeout(timeoutMs, result);
  }

  _onResult(requestId, data) {
    const { resolve, reject } = this._pendingRequests.get(requestId) || {};
    if (resolve && data.success) resolve(data);
    else if (resolve) reject(new WallcastError(data.error || "Refused", data.code));
  }

  _scheduleAck() {
    if (this._ackTimer) return;
    this._ackTimer = setTimeout(() => {
      this._ackTimer = null;
      if (this.state.phase === "online") this._connection.transmit("ack", { id: this._saved.lastEventId });
    }, ACK_DELAY_MS);
  }

  _tick() {
    const now = Date.now();
    const late = Math.abs(now - this._lastTick - TICK_MS);
    this._lastTick = now;
    this.heardAt = Math.min(this.heardAt, now); // The clock may have been set back.
    if (late > SLEEP_THRESHOLD_MS) return this.check(PROBE_AFTER_SLEEP_TIMEOUT_MS);
    if (this.state.phase === "online" && now - this.heardAt > PROBE_AFTER_MS) this._probe(PROBE_TIMEOUT_MS);
  }

  _probe(timeoutMs) {
    const connection = this._connection;
    const deadline = Date.now() + timeoutMs;
    if (connection.probe && connection.probeDeadline <= deadline) return;
    clearTimeout(connection.probe);
    connection.probeDeadline = deadline;
    const sentAt = Date.now();
    const isCurrent = () => connection === this._connection && this.state.phase === "online";
    connection.probe = setTimeout(() => {
      connection.probe = null;
      if (isCurrent() && this.heardAt < sentAt) this._onClosed({ silent: true });
    }, timeoutMs);
    // Only data on the connection itself proves that it is alive, not the result of a POST.
    connection.transmit("ping", {});
  }

  async _onClosed({ code, reason, refused, silent }) {
    const connection = this._connection;
    const wasOnline = this.state.phase === "online";
    const lastError = this._lastError || {};
    this._closeConnection();
    const finalReason =
      code >= 4400 && code < 4500 ? reason || "closed" : FINAL_CODES.find((one) => one === lastError.code);
    if (finalReason && finalReason !== "unauthenticated") return this._end(finalReason, lastError.message);
    if (wasOnline && !finalReason) {
      // A connection that lasted resets the backoff; one that fails at once must not reconnect in a tight loop.
      if (Date.now() - this._onlineSince > MAX_BACKOFF_MS || silent) this._attempt = 0;
      return this._scheduleReconnect(this._shutdownDelayMs, silent ? 0 : undefined);
    }
    const placeholder = (this._connection = { transport: connection.transport });
    this._setState({ phase: "connecting", transport: connection.transport });
    const refusal = refused || (await this._fetchRefusal());
    if (this._connection !== placeholder) return undefined;
    if (refusal.status === 401 || refusal.status === 403) return this._end(refusal.code, refusal.message);
    if (refusal.status === 429 || refusal.status === 503) return this._scheduleReconnect(refusal.retryAfterMs);
    if (refusal.status === 200 && !finalReason) this._onTransportFailure(connection.transport);
    return this._scheduleReconnect();
  }

  /** Finds out why an upgrade was refused: browsers report neither status nor body. */
  _fetchRefusal() {
    return this.request("GET", "api/me").then(() => ({ status: 200 }), (error) => error);
  }

  _onTransportFailure(transport) {
    this._failureCount += 1;
    const others = this._transports.filter((one) => one !== transport);
    if (this._failureCount < FAILURES_TO_SWITCH || !others.length) return;
    this._failureCount = this._attempt = 0;
    // `_onWelcome` stores the choice once the fallback has connected.
    Object.assign(this._saved, { transport: others[0], transportUntil: Date.now() + FALLBACK_TTL_MS });
  }

  _scheduleReconnect(minimumMs, exactMs) {
    const backoff = Math.min(INITIAL_BACKOFF_MS * 2 ** this._attempt, MAX_BACKOFF_MS);
    const jittered = backoff / 2 + Math.random() * (backoff / 2);
    const delay = exactMs === undefined ? (minimumMs || 0) + jittered : exactMs;
    this._attempt = Math.min(this._attempt + 1, 16);
    this._hasMinimumDelay = Boolean(minimumMs);
    this._reconnectTimer = setTimeout(() => this._open(), delay);
    this._setState({ phase: "waiting", retryAt: Date.now() + delay });
  }

  _end(reason, message) {
    this._stop();
    this._setState({ phase: "ended", reason: reason || "unauthenticated", message });
  }

  _closeConnection() {
    clearTimeout(this._reconnectTimer);
    const connection = this._connection;
    this._connection = null;
    this._hasMinimumDelay = false;
    for (const timer of connection ? [connection.timer, connection.probe] : []) clearTimeout(timer);
    if (connection && connection.close) connection.close();
    const error = new WallcastError("The connection was lost", "offline");
    for (const { reject } of this._pendingRequests.values()) reject(error);
  }

  _stop() {
    this._closeConnection();
    clearInterval(this._tickTimer);
    this._tickTimer = null;
    for (const [target, name] of wakeEvents()) target.removeEventListener(name, this._onWake);
    if (this._saveTimer) this._save();
  }

  _setState(state) {
    this.state = Object.assign({ since: Date.now() }, state);
    this._emit("state", this.state, {});
  }

  _load() {
    try {
      const saved = JSON.parse(this._storage.getItem(this._storageKey));
      return Number.isSafeInteger(saved.lastEventId) ? saved : {};
    } catch (error) {
      return {};
    }
  }

  _scheduleSave() {
    this._saveTimer = this._saveTimer || setTimeout(() => this._save(), SAVE_DELAY_MS);
  }

  _save() {
    clearTimeout(this._saveTimer);
    this._saveTimer = null;
    try {
      if (this._storage) this._storage.setItem(this._storageKey, JSON.stringify(this._saved));
    } catch (error) {
      // Without storage the next page load starts without a resume position.
    }
  }
}

/** Events that hint that the device woke up or is back on the network. */
function wakeEvents() {
  if (typeof window === "undefined" || typeof document === "undefined") return [];
  const on = (target, ...names) => names.map((name) => [target, name]);
  return on(window, "online", "pageshow", "focus").concat(on(document, "visibilitychange", "resume"));
}

/** Rejects with code `timeout` if `promise` takes longer than `ms`. */
function withTimeout(ms, promise) {
  let timer;
  const error = new WallcastError("The server did not answer in time", "timeout");
  const expired = new Promise((_, reject) => (timer = setTimeout(() => reject(error), ms)));
  const done = () => clearTimeout(timer);
  promise.then(done, done);
  return Promise.race([promise, expired]);
}

/** Incremental parser of an event stream (HTML standard, section 9.2.6). */
function eventStreamParser(emit) {
  let text = "";
  let event = {};
  return (chunk) => {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop();
    for (const raw of lines) {
      const line = raw.replace(/\r$/, "");
      const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line); // `.` would not match U+2028.
      if (line === "") {
        if (event.data !== undefined) emit(toEvent(event));
        event = {};
      } else if (field === "data") {
        event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      } else if (field === "event" || field === "id") {
        event[field] = value;
      }
    }
  };
}

function toEvent({ event, data, id = "" }) {
  const parsed = JSON.parse(data);
  const number = id ? Number(id.slice(id.lastIndexOf(":") + 1)) : undefined;
  // The id of a welcome or heartbeat is the server's position, not the id of an event.
  const hasOwnId = !["connection", "heartbeat"].includes(event);
  return { type: event, data: parsed, id: hasOwnId ? number : undefined, timestamp: parsed.timestamp };
}
