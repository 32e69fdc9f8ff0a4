// How a tablet comes into the house: it asks and waits, or it brings an admin's code. The token that it
// gets becomes a cookie that no script can read, and is kept nowhere else.

import { Wallcast } from "../wallcast.js";
import { Model } from "./model.js";

/** A code as admins offer it. */
export const CODE_LENGTH = 6;

export class Pairing extends Model {
  /** `done({clientId, clientName})` is called once the cookie is there. */
  constructor(base, done) {
    super();
    this.base = base;
    this.done = done;
    this.http = new Wallcast({ base });
    this.request = { phase: "starting" };
    this.code = { phase: "empty" };
  }

  _changed(what, value) {
    this._set({ [what]: value });
  }

  /** Asks the house for a place, and waits for an admin. */
  async ask() {
    this.stop();
    const turn = (this._turn = {});
    const isOver = () => this._turn !== turn;
    this._changed("request", { phase: "starting" });
    try {
      const asked = await this.http.request("POST", "api/pairing/requests", { platform: platform() });
      if (isOver()) return;
      this._changed("request", Object.assign({ phase: "waiting" }, asked));
      this._wait(asked, isOver);
    } catch (error) {
      if (isOver()) return;
      this._changed("request", { phase: "failed", error });
      if (error.code === "offline" || error.code === "timeout") {
        this._later = setTimeout(() => this.ask(), 3000);
      } else if (error.retryAfterMs) {
        this._later = setTimeout(() => this.ask(), error.retryAfterMs);
      }
    }
  }

  stop() {
    this._turn = null;
    clearTimeout(this._later);
    clearInterval(this._polling);
    if (this._socket) this._socket.close();
    this._socket = null;
  }

  /** A socket tells at once; asking now and then tells where no socket gets through. */
  _wait({ pairingId, pairingToken, interval }, isOver) {
    const end = (outcome) => {
      if (isOver()) return;
      this.stop();
      if (outcome.token) this._enter(outcome, "request");
      else this._changed("request", outcome);
    };
    // A stream brings its token in a header, which counts before a cookie that stands no longer.
    const socket = new Wallcast({ base: this.base, token: pairingToken, transports: ["sse"] });
    this._socket = socket;
    socket.on("pairing_completed", end);
    socket.on("pairing_denied", ({ reason }) => end({ phase: "denied", reason }));
    socket.on("pairing_expired", () => end({ phase: "expired" }));
    socket.connect();
    const poll = () =>
      socket.request("GET", `api/pairing/requests/${pairingId}`).then(
        (found) => {
          if (found.status === "approved") end(found);
          if (found.status === "denied") end({ phase: "denied", reason: found.reason });
        },
        ({ status }) => (status === 401 || status === 404) && end({ phase: "expired" }),
      );
    this._polling = setInterval(poll, interval * 1000);
  }

  /**
   * Brings a code, and says whether it opened the house. The claim makes the same answer come again
   * where the first one was lost.
   */
  async bring(code) {
    if (this.code.phase === "checking") return false;
    const claim = this._claimed === code && this._claim ? this._claim : randomText();
    Object.assign(this, { _claimed: code, _claim: claim });
    this._changed("code", { phase: "checking", code });
    try {
      const body = { code, claim, platform: platform() };
      const outcome = await this.http.request("POST", "api/pairing/complete", body);
      return await this._enter(outcome, "code");
    } catch (error) {
      this._changed("code", { phase: "refused", code, error });
      return false;
    }
  }

  async _enter({ token, clientId, clientName }, what) {
    this._changed(what, { phase: "entering" });
    try {
      await new Wallcast({ base: this.base, token }).request("POST", "api/auth/session", {});
    } catch (error) {
      this._changed(what, { phase: "failed", error });
      return false;
    }
    this.stop();
    this._changed("code", { phase: "empty" });
    this.done({ clientId, clientName });
    return true;
  }
}

/** The code in a scanned or typed text: six digits, or an address that ends with #CODE. */
export function codeIn(text) {
  const found = /(?:#|^)(\d{3})[ -]?(\d{3})$/.exec(text.trim());
  return found ? found[1] + found[2] : null;
}

function randomText() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What this is, in a few words for the admin. */
export function platform(agent = navigator.userAgent) {
  const first = (...patterns) => patterns.map((one) => one.exec(agent)).find(Boolean);
  const device = first(/(iPad|iPhone)/, /(Android) ?(\d+)?/, /(Windows|Mac OS X|CrOS|Linux)/);
  const browser = first(/(Firefox|Edg|OPR|SamsungBrowser|Chrome)\/(\d+)/, /(Version)\/(\d+).*Safari/);
  const parts = [];
  if (device) parts.push([device[1], device[2]].filter(Boolean).join(" "));
  if (browser) parts.push(`${browser[1] === "Version" ? "Safari" : browser[1]} ${browser[2]}`);
  return parts.join(", ").slice(0, 64) || "browser";
}
