// Client-side store of the admin page: lists that are loaded when a component first uses them and reloaded when an
// event affects them, the recent events, and the connection status.

import { call, listAll, MAX_ROWS } from "./api.js";

/** How to load each list. */
const LOADERS = {
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

/** Lists that become outdated by an event, by event type. */
const AFFECTED_LISTS = {
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
  resync_required: Object.keys(LOADERS),
};

/** Events kept for the log, and how many of them may be state changes. Older events are in the server's history. */
const MAX_EVENTS = 1000;
const MAX_STATE_EVENTS = 300;
/** Changes within this time cause one rendering, because hundreds of events may arrive in a second. */
const NOTIFY_DELAY_MS = 40;
/** Delay before a list is requested again after a temporary error. */
const RETRY_MS = 3000;
/** Events within this time cause one reload of a list. */
const RELOAD_DELAY_MS = 120;

export const store = {
  /** `status` is `connecting`, `live`, `lost` or `ended`; `since` when it began; `retryAt` the next attempt. */
  link: { status: "connecting", since: Date.now() },
  /** Newest last. */
  events: [],
  /** Number of events received since the page was opened. */
  eventCount: 0,
  /** The last `system_status`. */
  system: undefined,
  lists: Object.fromEntries(Object.keys(LOADERS).map((name) => [name, emptyList()])),
};

function emptyList() {
  return { value: undefined, at: undefined, error: undefined, users: 0, isOutdated: true, isLoading: false };
}

const subscribers = new Set();
const eventHandlers = new Set();
let isNotifyPending = false;

/** Calls `subscriber` after changes, at most once every NOTIFY_DELAY_MS. Returns a function that unsubscribes. */
export function subscribe(subscriber) {
  subscribers.add(subscriber);
  return () => subscribers.delete(subscriber);
}

/** Calls `handler` with each event. Returns a function that unsubscribes. */
export function onEvent(handler) {
  eventHandlers.add(handler);
  return () => eventHandlers.delete(handler);
}

/** Whether a client has a valid token; undefined if the tokens are not loaded, or not completely. */
export function isPaired(client) {
  const { value } = store.lists.tokens;
  if (!value || value.length >= MAX_ROWS) return undefined;
  const isValid = (token) => !token.revokedAt && new Date(token.expiresAt) > Date.now();
  return value.some((token) => token.role === "client" && token.subject === client.id && isValid(token));
}

function notify() {
  if (isNotifyPending) return;
  isNotifyPending = true;
  setTimeout(() => {
    isNotifyPending = false;
    for (const subscriber of subscribers) subscriber();
  }, NOTIFY_DELAY_MS);
}

/** Loads a list and keeps it current until the returned function is called. */
export function acquireList(name) {
  const list = store.lists[name];
  list.users += 1;
  if (list.isOutdated) reload(name);
  return () => {
    list.users -= 1;
  };
}

/** Reloads a list. If a load is in progress, another one follows it. */
export async function reload(name) {
  const list = store.lists[name];
  list.isOutdated = true;
  if (list.isLoading) return list.isLoading;
  list.isLoading = load(name, list).finally(() => {
    list.isLoading = false;
    notify();
    if (list.isOutdated && list.users > 0 && !list.error) scheduleReload(name);
  });
  return list.isLoading;
}

async function load(name, list) {
  list.isOutdated = false;
  const requestedAt = Date.now();
  try {
    list.value = await LOADERS[name]();
    list.at = requestedAt;
    list.error = undefined;
  } catch (error) {
    list.error = error;
    list.isOutdated = true;
    if (error.status === 401) setLink({ status: "ended", reason: "unauthenticated" });
    if (isTemporary(error)) {
      clearTimeout(list.retry);
      list.retry = setTimeout(() => list.isOutdated && list.users > 0 && reload(name), Math.max(RETRY_MS, error.retryAfterMs));
    }
  }
}

/** Whether an error may go away by itself, so that a retry makes sense. */
function isTemporary({ status }) {
  return status === 0 || status === 429 || status >= 500;
}

const outdatedNames = new Set();
let reloadTimer;

function scheduleReload(name) {
  outdatedNames.add(name);
  reloadTimer ??= setTimeout(() => {
    reloadTimer = undefined;
    const names = [...outdatedNames];
    outdatedNames.clear();
    names.forEach(reload);
  }, RELOAD_DELAY_MS);
}

/** Marks lists as outdated and schedules a reload of those in use. */
export function invalidate(...names) {
  for (const name of names) {
    store.lists[name].isOutdated = true;
    if (store.lists[name].users > 0) scheduleReload(name);
  }
}

/** Applies one event from the connection. */
export function handleEvent(event) {
  if (event.type === "system_status") store.system = { ...event.data, at: Date.now() };
  if (event.type === "client_online" || event.type === "client_offline") patchPresence(event);
  invalidate(...(AFFECTED_LISTS[event.type] ?? []));
  if (event.type !== "heartbeat" && event.type !== "pong") {
    addEvent({ ...event, key: `${event.id ?? ""}-${nextKey++}` });
  }
  for (const handler of eventHandlers) handler(event);
  notify();
}

/** Inserts older events before those received so far. */
export function prependEvents(events) {
  store.events.unshift(...events.map((event) => ({ ...event, key: `${event.id}-${nextKey++}` })));
  notify();
}

/** Adds an event to the log. State changes are frequent and have their own limit, so they do not evict the rest. */
function addEvent(event) {
  store.eventCount += 1;
  store.events.push(event);
  if (event.type === STATE_EVENT && ++stateEventCount > MAX_STATE_EVENTS) {
    stateEventCount -= 1;
    store.events.splice(store.events.findIndex((one) => one.type === STATE_EVENT), 1);
  }
  if (store.events.length > MAX_EVENTS && store.events.shift().type === STATE_EVENT) stateEventCount -= 1;
}

const STATE_EVENT = "entity_state_changed";
let stateEventCount = 0;
let nextKey = 1;

/** Applies a presence event at once; the reload of the list follows. */
function patchPresence({ type, data }) {
  const list = store.lists.clients;
  list.value = list.value?.map((client) =>
    client.id === data.clientId
      ? { ...client, isOnline: type === "client_online", sessions: data.sessions, lastSeenAt: data.lastSeenAt }
      : client,
  );
}

/** Lists that components reload at an interval, because not all of their changes cause an event. */
const POLLED_LISTS = ["positions", "sessions", "latency", "traffic", "health", "tokens"];

/** When the connection is lost: lists kept current by events were valid until now, so stamp them with this time. */
function stampLists() {
  for (const [name, list] of Object.entries(store.lists)) {
    if (list.at && !list.isOutdated && !POLLED_LISTS.includes(name)) list.at = Date.now();
  }
}

/** Sets the connection status. When the connection comes back, every list is outdated. */
export function setLink(link) {
  const before = store.link.status;
  store.link = { ...link, since: link.status === before ? store.link.since : Date.now() };
  if (before === "live" && link.status !== "live") stampLists();
  if (link.status === "live" && before !== "live") invalidate(...Object.keys(LOADERS));
  notify();
}
