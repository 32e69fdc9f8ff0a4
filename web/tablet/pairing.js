// Pairs this tablet (docs/protocol.md#pairing): it requests approval and waits, or submits a code from an admin.
// The token is exchanged for a cookie that scripts cannot read, and is not stored.

import { Wallcast } from "../wallcast.js";
import { Model } from "./model.js";

/** Digits of an admin's code. */
export const CODE_LENGTH = 6;

export class Pairing extends Model {
  /** Calls `onPaired({clientId, clientName})` once the session cookie is set. */
  constructor(base, onPaired) {
    super();
    this.base = base;
    this.onPaired = onPaired;
    this.http = new Wallcast({ base });
    this.request = { phase: "starting" };
    this.code = { phase: "empty" };
  }

  _update(key, value) {
    this._set({ [key]: value });
  }

  /** Creates a pairing request and waits for an admin to approve it. Replaces an earlier request. */
  async requestApproval() {
    this.stop();
    const attempt = (this._attempt = {});
    const isStopped = () => this._attempt !== attempt;
    this._update("request", { phase: "starting" });
    try {
      const request = await this.http.request("POST", "api/pairing/requests", { platform: platform() });
      if (isStopped()) return;
      this._update("request", Object.assign({ phase: "waiting" }, request));
      this._awaitOutcome(request, isStopped);
    } catch (error) {
      if (isStopped()) return;
      this._update("request", { phase: "failed", error });
      if (error.code === "offline" || error.code === "timeout") {
        this._retryTimer = setTimeout(() => this.requestApproval(), 3000);
      } else if (error.retryAfterMs) {
        this._retryTimer = setTimeout(() => this.requestApproval(), error.retryAfterMs);
      }
    }
  }

  stop() {
    this._attempt = null;
    clearTimeout(this._retryTimer);
    clearInterval(this._pollTimer);
    if (this._events) this._events.close();
    this._events = null;
  }

  /** Waits for the pairing event. Polling is the fallback where the event stream does not get through. */
  _awaitOutcome({ pairingId, pairingToken, interval }, isStopped) {
    const finish = (outcome) => {
      if (isStopped()) return;
      this.stop();
      if (outcome.token) this._startSession(outcome, "request");
      else this._update("request", outcome);
    };
    // Server-sent events send the token in a header, which takes precedence over an expired cookie.
    const events = new Wallcast({ base: this.base, token: pairingToken, transports: ["sse"] });
    this._events = events;
    events.on("pairing_completed", finish);
    events.on("pairing_denied", ({ reason }) => finish({ phase: "denied", reason }));
    events.on("pairing_expired", () => finish({ phase: "expired" }));
    events.connect();
    const poll = () =>
      events.request("GET", `api/pairing/requests/${pairingId}`).then(
        (outcome) => {
          if (outcome.status === "approved") finish(outcome);
          if (outcome.status === "denied") finish({ phase: "denied", reason: outcome.reason });
        },
        ({ status }) => (status === 401 || status === 404) && finish({ phase: "expired" }),
      );
    this._pollTimer = setInterval(poll, interval * 1000);
  }

  /**
   * Submits an admin's code and returns whether it paired the tablet. The random claim makes a retry with the
   * same code return the same result if the first response was lost.
   */
  async submitCode(code) {
    if (this.code.phase === "checking") return false;
    const claim = this._claimed === code && this._claim ? this._claim : randomHex();
    Object.assign(this, { _claimed: code, _claim: claim });
    this._update("code", { phase: "checking", code });
    try {
      const body = { code, claim, platform: platform() };
      const outcome = await this.http.request("POST", "api/pairing/complete", body);
      return await this._startSession(outcome, "code");
    } catch (error) {
      this._update("code", { phase: "refused", code, error });
      return false;
    }
  }

  async _startSession({ token, clientId, clientName }, key) {
    this._update(key, { phase: "entering" });
    try {
      await new Wallcast({ base: this.base, token }).request("POST", "api/auth/session", {});
    } catch (error) {
      this._update(key, { phase: "failed", error });
      return false;
    }
    this.stop();
    this._update("code", { phase: "empty" });
    this.onPaired({ clientId, clientName });
    return true;
  }
}

/** The code in a typed or scanned text: six digits, or a URL that ends with `#CODE`. Null if there is none. */
export function findCode(text) {
  const match = /(?:#|^)(\d{3})[ -]?(\d{3})$/.exec(text.trim());
  return match ? match[1] + match[2] : null;
}

function randomHex() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Operating system and browser, shown to the admin who approves the pairing. */
export function platform(agent = navigator.userAgent) {
  const first = (...patterns) => patterns.map((pattern) => pattern.exec(agent)).find(Boolean);
  const device = first(/(iPad|iPhone)/, /(Android) ?(\d+)?/, /(Windows|Mac OS X|CrOS|Linux)/);
  const browser = first(/(Firefox|Edg|OPR|SamsungBrowser|Chrome)\/(\d+)/, /(Version)\/(\d+).*Safari/);
  const parts = [];
  if (device) parts.push([device[1], device[2]].filter(Boolean).join(" "));
  if (browser) parts.push(`${browser[1] === "Version" ? "Safari" : browser[1]} ${browser[2]}`);
  return parts.join(", ").slice(0, 64) || "browser";
}
