// The page's one connection: `wallcast.js`, and what it says told to `house`.

import { Wallcast } from "../wallcast.js";
import { BASE, call } from "./api.js";
import { house, precede, setLink, take } from "./house.js";

let wallcast;
let isRemembered = false;

/** Who is signed in; 401 for nobody. */
export function me() {
  return call("GET", "api/me");
}

/** Connects as the admin who is signed in, and stays connected. */
export function connect() {
  wallcast?.close();
  // The position lives as long as the page: another page begins with the present, and reads the past
  // from the history.
  wallcast = new Wallcast({ base: BASE.href });
  wallcast.on("*", (_data, event) => {
    if (event.type !== "state") take(event);
  });
  wallcast.on("state", (state) => setLink(linkOf(state)));
  wallcast.on("connection", ({ lastEventId }) => remember(lastEventId));
  wallcast.connect();
}

/** What happened shortly before the page was opened, so that the log does not begin empty. */
async function remember(lastEventId) {
  if (isRemembered) return;
  isRemembered = true;
  try {
    const { events } = await call("GET", `api/events?limit=60&after=${Math.max(0, lastEventId - 60)}`);
    precede(events.filter(({ id }) => id <= lastEventId));
  } catch {
    isRemembered = false;
  }
}

function linkOf({ phase, transport, retryAt, reason }) {
  const tryNow = () => wallcast.check();
  if (phase === "online") return { status: "live", transport };
  if (phase === "ended" && reason === "superseded") return { status: "lost", reason, tryNow: () => wallcast.connect() };
  if (phase === "ended") return { status: "ended", reason: "unauthenticated", code: reason };
  const wasLive = house.link.status !== "connecting";
  return { status: wasLive ? "lost" : "connecting", retryAt, tryNow };
}

/** Says something that needs no answer, where the connection stands. */
export function send(type, data) {
  wallcast?.send(type, data).catch(() => {
    // Nobody waits for it, and a lost connection is shown elsewhere.
  });
}
