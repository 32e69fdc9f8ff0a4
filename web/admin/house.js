// What the page knows of the house: lists that are loaded once somebody looks at them, kept true by
// the events that concern them, and never taken for current while the connection is gone.

import { call, listAll, MOST_ROWS } from "./api.js";

/** How each list is loaded. */
const SOURCES = {
  clients: async () => byName(await listAll("api/clients", "clients")),
  positions: () => listAll("api/positions", "positions"),
  areas: async () => byName(await listAll("api/areas", "areas")),
  requests: () => listAll("api/pairing/requests", "requests"),
  help: () => listAll("api/help", "helpRequests", 500),
  commands: () => listAll("api/commands", "commands", 500),
  lockers: () => listAll("api/lockers", "lockers"),
  conversations: () => listAll("api/conversations", "conversations", 500),
  unread: () => call("GET", "api/messages/unread"),
  board: () => call("GET", "api/status"),
  services: () => listAll("api/services", "services"),
  incidents: () => listAll("api/incidents", "incidents"),
  tokens: () => listAll("api/tokens", "tokens"),
  sessions: sessions,
  latency: () => call("GET", "api/websocket/status"),
  traffic: () => call("GET", "api/v1/websocket/stats"),
  health: () => call("GET", "health"),
  entities: async () => (await call("GET", "api/entities")).states,
};

function byName(list) {
  return list.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

async function sessions() {
  const answer = await call("GET", "api/websocket/info?limit=1000");
  return answer.data.clients;
}

/** Which lists an event makes old. */
const CONCERNS = {
  area_added: ["areas", "clients"],
  area_removed: ["areas", "clients"],
  area_updated: ["areas", "clients"],
  area_enabled: ["areas", "clients"],
  area_disabled: ["areas", "clients"],
  room_updated: ["areas"],
  client_revoked: ["clients", "areas", "tokens", "sessions"],
  client_online: ["clients", "sessions"],
  client_offline: ["clients", "sessions"],
  pairing_requested: ["requests"],
  pairing_completed: ["requests", "clients", "areas", "tokens"],
  pairing_denied: ["requests"],
  pairing_expired: ["requests"],
  "service-update": ["board", "services", "health"],
  "incident-update": ["board", "incidents"],
  "status-update": ["board"],
  locker_state_changed: ["lockers"],
  help_requested: ["help"],
  help_status_updated: ["help"],
  command_applied: ["commands"],
  new_message: ["conversations", "unread"],
  message_status_update: ["conversations", "unread"],
  conversation_update: ["conversations", "unread"],
  unread_count_update: ["unread"],
  resync_required: Object.keys(SOURCES),
};

/** Events that the page keeps for the log; older ones are in the history. */
const KEPT_EVENTS = 1000;
const KEPT_STATES = 300;
/** Changes within this time are drawn at once, in milliseconds: a house may tell hundreds a second. */
const DRAW_MS = 40;
/** A list that could not be had is asked for again after so many milliseconds. */
const RETRY_MS = 3000;
/** Changes within this time are one reload, in milliseconds. */
const GATHER_MS = 120;

export const house = {
  /** `connecting`, `live`, `lost` or `ended`; `since` when that began, `retryAt` when it tries again. */
  link: { status: "connecting", since: Date.now() },
  /** Newest last. */
  events: [],
  /** How many were heard since the page was opened. */
  heard: 0,
  /** The last `system_status`. */
  system: undefined,
  lists: Object.fromEntries(Object.keys(SOURCES).map((name) => [name, empty()])),
};

function empty() {
  return { value: undefined, at: undefined, error: undefined, users: 0, isOld: true, isLoading: false };
}

const watchers = new Set();
const hearers = new Set();
let isTold = false;

/** Calls `watcher` after changes, a few of them gathered. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Calls `hearer` with each event as it comes. */
export function hear(hearer) {
  hearers.add(hearer);
  return () => hearers.delete(hearer);
}

/** Whether a tablet has a token that stands; undefined while nobody knows. */
export function isPaired(client) {
  const { value } = house.lists.tokens;
  if (!value || value.length >= MOST_ROWS) return undefined;
  const stands = (token) => !token.revokedAt && new Date(token.expiresAt) > Date.now();
  return value.some((token) => token.role === "client" && token.subject === client.id && stands(token));
}

function changed() {
  if (isTold) return;
  isTold = true;
  setTimeout(() => {
    isTold = false;
    for (const watcher of watchers) watcher();
  }, DRAW_MS);
}

/** Somebody looks at a list; it is loaded and kept current until the returned function is called. */
export function use(name) {
  const list = house.lists[name];
  list.users += 1;
  if (list.isOld) reload(name);
  return () => {
    list.users -= 1;
  };
}

/** Loads a list again; while it is being loaded already, once more after that. */
export async function reload(name) {
  const list = house.lists[name];
  list.isOld = true;
  if (list.isLoading) return list.isLoading;
  list.isLoading = load(name, list).finally(() => {
    list.isLoading = false;
    changed();
    if (list.isOld && list.users > 0 && !list.error) gather(name);
  });
  return list.isLoading;
}

async function load(name, list) {
  list.isOld = false;
  const asked = Date.now();
  try {
    list.value = await SOURCES[name]();
    list.at = asked;
    list.error = undefined;
  } catch (error) {
    list.error = error;
    list.isOld = true;
    if (error.status === 401) setLink({ status: "ended", reason: "unauthenticated" });
    if (isPassing(error)) {
      clearTimeout(list.retry);
      list.retry = setTimeout(() => list.isOld && list.users > 0 && reload(name), Math.max(RETRY_MS, error.retryAfterMs));
    }
  }
}

/** What may be well again without anybody doing anything: nobody has to load the page for it. */
function isPassing({ status }) {
  return status === 0 || status === 429 || status >= 500;
}

const gathered = new Set();
let gathering;

function gather(name) {
  gathered.add(name);
  gathering ??= setTimeout(() => {
    gathering = undefined;
    const names = [...gathered];
    gathered.clear();
    names.forEach(reload);
  }, GATHER_MS);
}

/** Marks lists as old, and loads those that somebody looks at. */
export function outdate(...names) {
  for (const name of names) {
    house.lists[name].isOld = true;
    if (house.lists[name].users > 0) gather(name);
  }
}

/** Takes in one event from the socket. */
export function take(event) {
  if (event.type === "system_status") house.system = { ...event.data, at: Date.now() };
  if (event.type === "client_online" || event.type === "client_offline") patchPresence(event);
  outdate(...(CONCERNS[event.type] ?? []));
  if (event.type !== "heartbeat" && event.type !== "pong") {
    keep({ ...event, key: `${event.id ?? ""}-${nextKey++}` });
  }
  for (const hearer of hearers) hearer(event);
  changed();
}

/** Puts what happened before in front of what was heard. */
export function precede(events) {
  house.events.unshift(...events.map((event) => ({ ...event, key: `${event.id}-${nextKey++}` })));
  changed();
}

/** Keeps an event for the log. States come by the hundred, and must not push out everything else. */
function keep(event) {
  house.heard += 1;
  house.events.push(event);
  if (event.type === STATE && ++states > KEPT_STATES) {
    states -= 1;
    house.events.splice(house.events.findIndex((one) => one.type === STATE), 1);
  }
  if (house.events.length > KEPT_EVENTS && house.events.shift().type === STATE) states -= 1;
}

const STATE = "entity_state_changed";
let states = 0;
let nextKey = 1;

/** Presence is told with the event; nobody has to wait for a list. */
function patchPresence({ type, data }) {
  const list = house.lists.clients;
  list.value = list.value?.map((client) =>
    client.id === data.clientId
      ? { ...client, isOnline: type === "client_online", sessions: data.sessions, lastSeenAt: data.lastSeenAt }
      : client,
  );
}

/** Lists that are asked for again and again, since no event tells of their changes. */
const POLLED = ["positions", "sessions", "latency", "traffic", "health", "tokens"];

/** The events have stopped: what they kept true until now was true until now. */
function stamp() {
  for (const [name, list] of Object.entries(house.lists)) {
    if (list.at && !list.isOld && !POLLED.includes(name)) list.at = Date.now();
  }
}

/** The connection changed; once it is back, everything that is looked at is loaded anew. */
export function setLink(link) {
  const before = house.link.status;
  house.link = { ...link, since: link.status === before ? house.link.since : Date.now() };
  if (before === "live" && link.status !== "live") stamp();
  if (link.status === "live" && before !== "live") outdate(...Object.keys(SOURCES));
  changed();
}
