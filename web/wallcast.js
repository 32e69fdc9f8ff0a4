// wallcast.js: the client of a Wallcast house. One module, no dependencies, ES2018; browsers from
// Chrome 64, Firefox 65 and Safari 11.1 on, and Node 18 (give it a WebSocket class there).
//
//   import { Wallcast } from "https://HOST:8443/wallcast.js";
//
//   const house = new Wallcast({ base: "https://HOST:8443/", token, storage: localStorage });
//   house.on("connection", (words) => draw(words.assignedAreas));
//   house.on("area_updated", (area, event) => { if (!event.isReplayed) redraw(area); });
//   house.on("state", ({ phase, reason }) => show(phase, reason));
//   house.connect();
//   await house.send("call_service", { entityId: "light.kitchen", service: "toggle" });
//   const { states } = await house.request("GET", "api/entities");
//
// Options, all but `base` optional. `base`: where the house is, absolute or in a browser relative to the
// page; a prefix (Home Assistant's ingress) is kept. `token`, or `sessionId`, the opaque id that POST
// api/auth/session answers; without either the browser's cookie proves who you are. `storage`: where the
// position outlives the page, with `getItem` and `setItem`, under `storageKey` ("wallcast"); no credential
// is ever put there. `transports`: in which order to try (["websocket", "sse"]). `fetch`, `WebSocket`:
// what to use instead of the global ones.
//
// It keeps the epoch and the id of the last event, comes back with them, and acknowledges events once their
// handlers have run. An event that was missed has `isReplayed`: the state in the first words (`connection`)
// is newer than it. After `resync_required` the past is gone, and the first words are what holds.
// It takes a JSON WebSocket where one gets through, else server-sent events and POST api/send, and
// remembers that for a day; the house shows an admin which one a session uses. It comes back after a loss at
// growing intervals with jitter, after `server_shutdown` when the house said so, after 429 and 503 not
// before `Retry-After`, and after the close codes 4400 to 4499 never. Where an upgrade was refused it asks
// GET api/me why. It notices a dead connection within seconds, and a sleep by comparing clocks, since
// sleeping devices stop timers.
//
// `state`, and the event of that name: `{phase, transport, since, retryAt, reason, message}`. Phases: "idle",
// "connecting", "online", "waiting" (until `retryAt`), "ended" (for good: `reason` is `revoked`, `inactive`,
// `superseded`, `unauthenticated`, `token_expired`, `invalid_token`, …; `connect` tries anew). `heardAt` is
// when the house was last heard. `send` and `request` throw a WallcastError `{message, code, status}`, whose
// `code` is the house's word, or `offline` or `timeout`.

/** First and longest wait between attempts; each lies between half and the whole of it. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
/** Without the first words in time an attempt failed: a socket that proves nothing opens, and hears nothing. */
const WORDS_WITHIN_MS = 8000;
const WORDS_AFTER_OPEN_MS = 2500;
/** After this much silence the house is asked whether it is there, and given this long to answer; less
 * after a sleep, since whoever looks at a tablet waits for it. */
const SILENCE_MS = 4000;
const ANSWER_WITHIN_MS = 3000;
const ANSWER_AFTER_SLEEP_MS = 600;
const TICK_MS = 1000;
/** A tick this late, or early, means that the device slept or its clock was set. */
const SLEEP_MS = 4000;
const ACK_AFTER_MS = 250;
const SAVE_AFTER_MS = 500;
const REQUEST_WITHIN_MS = 12000;
/** How long it is remembered that WebSockets do not get through, and how often they must fail for it. */
const REMEMBER_MS = 24 * 3600 * 1000;
const FAILURES_TO_SWITCH = 2;
/** Words that end a session for good where no close code says it (server-sent events). */
const FINAL = ["unauthenticated", "revoked", "auth_timeout", "superseded", "inactive"];

export class WallcastError extends Error {
  constructor(message, code, status, retryAfterMs) {
    super(message);
    Object.assign(this, { name: "WallcastError", code, status, retryAfterMs });
  }
}

export class Wallcast {
  constructor(options) {
    const here = typeof location === "undefined" ? undefined : location.href;
    this.base = new URL(options.base || "./", here);
    this.token = options.token;
    this.sessionId = options.sessionId;
    this._storage = options.storage;
    this._key = options.storageKey || "wallcast";
    this._transports = options.transports || ["websocket", "sse"];
    this._fetch = options.fetch || ((...request) => fetch(...request));
    this._WebSocket = options.WebSocket || (typeof WebSocket === "undefined" ? null : WebSocket);
    this.state = { phase: "idle", since: Date.now() };
    this.words = null;
    this.heardAt = 0;
    this._handlers = new Map();
    this._answers = new Map();
    this._requests = this._attempt = this._refused = this._skew = 0;
    this._link = null;
    this._kept = this._load();
    this._wake = () => this.check();
  }

  /** Has `handler(data, event)` called for each event of that type, for all with "*". Returns how to stop. */
  on(type, handler) {
    if (!this._handlers.has(type)) this._handlers.set(type, new Set());
    this._handlers.get(type).add(handler);
    return () => this._handlers.get(type).delete(handler);
  }

  /** Connects and stays connected until `close`, or until the house ends it for good. */
  connect() {
    if (["connecting", "online"].includes(this.state.phase)) return;
    this._attempt = this._refused = 0;
    this._lastTick = Date.now();
    if (!this._ticking) {
      this._ticking = setInterval(() => this._tick(), TICK_MS);
      for (const [target, name] of wakeSigns()) target.addEventListener(name, this._wake);
    }
    this._open();
  }

  /** Disconnects. */
  close() {
    this._stop();
    this._enter({ phase: "idle" });
  }

  /** Drops the position, for whoever becomes somebody else, and what it knows of transports. */
  forget() {
    this._kept = {};
    this._save();
  }

  /** The house's clock, in ms since 1970. */
  now() {
    return Date.now() + this._skew;
  }

  /** Sends a message and waits for its answer's `data`. */
  send(type, data, { timeoutMs = REQUEST_WITHIN_MS } = {}) {
    if (this.state.phase !== "online") return Promise.reject(new WallcastError("Not connected", "offline"));
    return this._ask(type, data || {}, timeoutMs);
  }

  /** A request to the HTTP interface, `path` relative to the base: the answer's JSON, or null. */
  async request(method, path, body, { timeoutMs = REQUEST_WITHIN_MS } = {}) {
    const read = async (response) => [response, await response.json().catch(() => null)];
    const [response, answer] = await within(timeoutMs, this._call(method, path, body).then(read));
    if (response.ok) return answer;
    const { error = `The house answered ${response.status}`, code = "http_error" } = answer || {};
    const retry = Number(response.headers.get("retry-after")) * 1000;
    throw new WallcastError(error, code, response.status, retry || undefined);
  }

  /** Asks whether the connection still lives, and tries again at once where one is waited for. */
  check(patienceMs = ANSWER_WITHIN_MS) {
    if (this.state.phase === "waiting" && !this._mustWait) this._open();
    else if (this.state.phase === "online") this._probe(patienceMs);
  }

  _open() {
    this._drop();
    const transport = this._choose();
    const link = (this._link = { transport });
    this._enter({ phase: "connecting", transport });
    if (this._link !== link) return; // Closed by whoever heard of it.
    const mine = (act) => (...given) => this._link === link && act(...given);
    const hooks = {
      open: mine(() => expectWords(WORDS_AFTER_OPEN_MS)),
      heard: mine(() => (this.heardAt = Date.now())),
      message: mine((message) => this._receive(message)),
      closed: mine((why) => this._closed(why)),
    };
    const expectWords = (ms) => {
      clearTimeout(link.timer);
      link.timer = setTimeout(() => hooks.closed({ silent: true }), ms);
    };
    expectWords(WORDS_WITHIN_MS);
    try {
      Object.assign(link, transport === "sse" ? this._openStream(hooks) : this._openSocket(hooks));
    } catch (error) {
      setTimeout(() => hooks.closed({ error }), 0);
    }
  }

  _choose() {
    const known = this._transports.filter((one) => one !== "websocket" || this._WebSocket);
    const { transport, transportUntil } = this._kept;
    return known.includes(transport) && Date.now() < transportUntil ? transport : known[0];
  }

  _openSocket(hooks) {
    const url = new URL("ws", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    const { epoch, lastEventId } = this._kept;
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
      hooks.heard();
      hooks.message(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => hooks.closed({ code, reason });
    socket.onerror = () => {};
    const transmit = (type, data, requestId) => socket.send(JSON.stringify({ type, data, requestId }));
    const end = () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    };
    return { transmit, end };
  }

  _openStream(hooks) {
    let reader = null;
    let isOver = false;
    const { epoch, lastEventId } = this._kept;
    const headers = { accept: "text/event-stream" };
    if (epoch !== undefined) headers["last-event-id"] = `${epoch}:${lastEventId}`;
    const read = async () => {
      const response = await this._call("GET", "api/events", undefined, headers);
      if (!response.ok) {
        const { code, error } = (await response.json().catch(() => null)) || {};
        const retryAfterMs = Number(response.headers.get("retry-after")) * 1000;
        return { refused: { status: response.status, code, message: error, retryAfterMs } };
      }
      hooks.open();
      reader = response.body.getReader();
      if (isOver) return reader.cancel();
      const parse = streamParser((event) => hooks.message(event));
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return {};
        hooks.heard();
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
    const end = () => {
      isOver = true;
      if (reader) reader.cancel().catch(() => {});
    };
    return { transmit, end };
  }

  _call(method, path, body, headers = {}) {
    const proof = this.token || this.sessionId;
    if (proof) headers.authorization = `Bearer ${proof}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const options = { method, headers, body: JSON.stringify(body), credentials: "include", cache: "no-store" };
    return this._fetch(new URL(path, this.base).href, options).catch((error) => {
      throw new WallcastError(error.message, "offline");
    });
  }

  _receive({ type, data, id, timestamp, requestId }) {
    if (type === "result") return this._answered(requestId, data);
    data = data || {};
    const clock = Date.parse(timestamp || data.timestamp);
    // What is replayed bears the time at which it happened.
    const isReplayed = Boolean(this.words && this.words.recovered && id <= this.words.lastEventId);
    if (clock && !isReplayed && ["connection", "heartbeat", "pong"].includes(type)) {
      this._skew = clock - Date.now();
    }
    if (type === "connection") return this._welcomed(data);
    if (type === "server_shutdown") this._comeBackAfter = data.reconnectAfterMs;
    if (type === "error" || type === "auth_error") this._lastError = data;
    this._emit(type, data, { id, timestamp, isReplayed });
    const reached = type === "heartbeat" ? data.lastEventId : id;
    if (reached > this._kept.lastEventId) {
      this._kept.lastEventId = reached;
      this._saveSoon();
    }
    if (id) this._ackSoon();
  }

  _welcomed(words) {
    clearTimeout(this._link.timer);
    this.words = words;
    this._refused = 0;
    this._onlineSince = Date.now();
    this._comeBackAfter = this._lastError = undefined;
    if (!words.recovered) Object.assign(this._kept, { epoch: words.epoch, lastEventId: words.lastEventId });
    if (this._link.transport !== this._transports[0] && this._kept.transport !== this._link.transport) {
      this._kept.transport = this._link.transport;
      this._kept.transportUntil = Date.now() + REMEMBER_MS;
    }
    this._saveSoon();
    this._enter({ phase: "online", transport: this._link.transport });
    this._emit("connection", words, {});
    if (!words.recovered) this._ackSoon(); // Drawn as it is now, nothing before that is still to be done.
  }

  _emit(type, data, event) {
    const full = Object.assign({ type, data }, event);
    for (const name of [type, "*"]) {
      for (const handler of this._handlers.get(name) || []) {
        try {
          handler(data, full);
        } catch (error) {
          // One handler's fault is told where faults are looked for, and keeps nobody else waiting.
          setTimeout(() => Promise.reject(error), 0);
        }
      }
    }
  }

  _ask(type, data, timeoutMs) {
    const requestId = `r${++this._requests}`;
    const answer = new Promise((resolve, reject) => this._answers.set(requestId, { resolve, reject }));
    this._link.transmit(type, data, requestId);
    const done = () => this._answers.delete(requestId);
    answer.then(done, done);
    return within(timeoutMs, answer);
  }

  _answered(requestId, data) {
    const { resolve, reject } = this._answers.get(requestId) || {};
    if (resolve && data.success) resolve(data);
    else if (resolve) reject(new WallcastError(data.error || "Refused", data.code));
  }

  _ackSoon() {
    if (this._acking) return;
    this._acking = setTimeout(() => {
      this._acking = null;
      if (this.state.phase === "online") this._link.transmit("ack", { id: this._kept.lastEventId });
    }, ACK_AFTER_MS);
  }

  _tick() {
    const now = Date.now();
    const late = Math.abs(now - this._lastTick - TICK_MS);
    this._lastTick = now;
    this.heardAt = Math.min(this.heardAt, now); // Nothing was heard in the future of a clock set back.
    if (late > SLEEP_MS) return this.check(ANSWER_AFTER_SLEEP_MS);
    if (this.state.phase === "online" && now - this.heardAt > SILENCE_MS) this._probe(ANSWER_WITHIN_MS);
  }

  _probe(patienceMs) {
    const link = this._link;
    const due = Date.now() + patienceMs;
    if (link.probe && link.probeDue <= due) return;
    clearTimeout(link.probe);
    link.probeDue = due;
    const asked = Date.now();
    const asking = () => link === this._link && this.state.phase === "online";
    link.probe = setTimeout(() => {
      link.probe = null;
      if (asking() && this.heardAt < asked) this._closed({ silent: true });
    }, patienceMs);
    // Only what comes back on the connection itself counts as a sign of life.
    link.transmit("ping", {});
  }

  async _closed({ code, reason, refused, silent }) {
    const link = this._link;
    const wasOnline = this.state.phase === "online";
    const said = this._lastError || {};
    this._drop();
    const word = code >= 4400 && code < 4500 ? reason || "closed" : FINAL.find((one) => one === said.code);
    if (word && word !== "unauthenticated") return this._ended(word, said.message);
    if (wasOnline && !word) {
      // A connection that held for a while was no failure; what fails at once must not spin.
      if (Date.now() - this._onlineSince > LONGEST_WAIT_MS || silent) this._attempt = 0;
      return this._wait(this._comeBackAfter, silent ? 0 : undefined);
    }
    const mine = (this._link = { transport: link.transport });
    this._enter({ phase: "connecting", transport: link.transport });
    const why = refused || (await this._whyRefused());
    if (this._link !== mine) return undefined;
    if (why.status === 401 || why.status === 403) return this._ended(why.code, why.message);
    if (why.status === 429 || why.status === 503) return this._wait(why.retryAfterMs);
    if (why.status === 200 && !word) this._failed(link.transport);
    return this._wait();
  }

  /** What the house says to somebody whose upgrade failed: the browser does not tell why. */
  _whyRefused() {
    return this.request("GET", "api/me").then(() => ({ status: 200 }), (error) => error);
  }

  _failed(transport) {
    this._refused += 1;
    const others = this._transports.filter((one) => one !== transport);
    if (this._refused < FAILURES_TO_SWITCH || !others.length) return;
    this._refused = this._attempt = 0;
    // For now only; it is remembered once its first words have come.
    Object.assign(this._kept, { transport: others[0], transportUntil: Date.now() + REMEMBER_MS });
  }

  _wait(atLeastMs, exactlyMs) {
    const growing = Math.min(FIRST_WAIT_MS * 2 ** this._attempt, LONGEST_WAIT_MS);
    const jittered = growing / 2 + Math.random() * (growing / 2);
    const wait = exactlyMs === undefined ? (atLeastMs || 0) + jittered : exactlyMs;
    this._attempt = Math.min(this._attempt + 1, 16);
    this._mustWait = Boolean(atLeastMs);
    this._retry = setTimeout(() => this._open(), wait);
    this._enter({ phase: "waiting", retryAt: Date.now() + wait });
  }

  _ended(reason, message) {
    this._stop();
    this._enter({ phase: "ended", reason: reason || "unauthenticated", message });
  }

  _drop() {
    clearTimeout(this._retry);
    const link = this._link;
    this._link = null;
    this._mustWait = false;
    for (const timer of link ? [link.timer, link.probe] : []) clearTimeout(timer);
    if (link && link.end) link.end();
    for (const { reject } of this._answers.values()) reject(new WallcastError("The connection was lost", "offline"));
  }

  _stop() {
    this._drop();
    clearInterval(this._ticking);
    this._ticking = null;
    for (const [target, name] of wakeSigns()) target.removeEventListener(name, this._wake);
    if (this._saving) this._save();
  }

  _enter(state) {
    this.state = Object.assign({ since: Date.now() }, state);
    this._emit("state", this.state, {});
  }

  _load() {
    try {
      const kept = JSON.parse(this._storage.getItem(this._key));
      return Number.isSafeInteger(kept.lastEventId) ? kept : {};
    } catch (error) {
      return {};
    }
  }

  _saveSoon() {
    this._saving = this._saving || setTimeout(() => this._save(), SAVE_AFTER_MS);
  }

  _save() {
    clearTimeout(this._saving);
    this._saving = null;
    try {
      if (this._storage) this._storage.setItem(this._key, JSON.stringify(this._kept));
    } catch (error) {
      // A full or forbidden storage costs no more than a replay.
    }
  }
}

/** What may mean that a device woke up or found its network again. */
function wakeSigns() {
  if (typeof window === "undefined" || typeof document === "undefined") return [];
  const of = (target, ...names) => names.map((name) => [target, name]);
  return of(window, "online", "pageshow", "focus").concat(of(document, "visibilitychange", "resume"));
}

/** Fails with `timeout` where a promise takes too long. */
function within(ms, promise) {
  let timer;
  const error = new WallcastError("No answer came in time", "timeout");
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(error), ms)));
  const done = () => clearTimeout(timer);
  promise.then(done, done);
  return Promise.race([promise, late]);
}

/** Parses an event stream (HTML standard, section 9.2.6) as it comes in. */
function streamParser(emit) {
  let text = "";
  let event = {};
  return (chunk) => {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop();
    for (const raw of lines) {
      const line = raw.replace(/\r$/, "");
      const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line); // A dot would stop at a name's U+2028.
      if (line === "") {
        if (event.data !== undefined) emit(streamed(event));
        event = {};
      } else if (field === "data") {
        event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      } else if (field === "event" || field === "id") {
        event[field] = value;
      }
    }
  };
}

function streamed({ event, data, id = "" }) {
  const parsed = JSON.parse(data);
  const number = id ? Number(id.slice(id.lastIndexOf(":") + 1)) : undefined;
  // The first words and heartbeats bear the house's position, which is no event's own id.
  const isOwn = !["connection", "heartbeat"].includes(event);
  return { type: event, data: parsed, id: isOwn ? number : undefined, timestamp: parsed.timestamp };
}
