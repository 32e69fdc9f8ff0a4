// The page's connection to the server: passes the events of `wallcast.js` to the store.

import { Wallcast } from "../wallcast.js";
import { BASE, call } from "./api.js";
import { handleEvent, prependEvents, setLink, store } from "./store.js";

let wallcast;
let hasRecentEvents = false;

/** The signed-in principal; rejects with status 401 if nobody is signed in. */
export function me() {
  return call("GET", "api/me");
}

/** Connects as the signed-in admin, replacing an earlier connection. */
export function connect() {
  wallcast?.close();
  // No storage: a newly opened page starts at the current position and reads older events from the history.
  wallcast = new Wallcast({ base: BASE.href });
  wallcast.on("*", (_data, event) => {
    if (event.type !== "state") handleEvent(event);
  });
  wallcast.on("state", (state) => setLink(toLink(state)));
  wallcast.on("connection", ({ lastEventId }) => loadRecentEvents(lastEventId));
  wallcast.connect();
}

/** Loads the last 60 events from before the page was opened, so that the log does not start empty. */
async function loadRecentEvents(lastEventId) {
  if (hasRecentEvents) return;
  hasRecentEvents = true;
  try {
    const { events } = await call("GET", `api/events?limit=60&after=${Math.max(0, lastEventId - 60)}`);
    prependEvents(events.filter(({ id }) => id <= lastEventId));
  } catch {
    hasRecentEvents = false;
  }
}

function toLink({ phase, transport, retryAt, reason }) {
  const tryNow = () => wallcast.check();
  if (phase === "online") return { status: "live", transport };
  if (phase === "ended" && reason === "superseded") return { status: "lost", reason, tryNow: () => wallcast.connect() };
  if (phase === "ended") return { status: "ended", reason: "unauthenticated", code: reason };
  const wasLive = store.link.status !== "connecting";
  return { status: wasLive ? "lost" : "connecting", retryAt, tryNow };
}

/** Sends a message without waiting for its result; does nothing while disconnected. */
export function send(type, data) {
  wallcast?.send(type, data).catch(() => {
    // Ignored: the connection status is shown elsewhere.
  });
}
