// State of the device itself: screen off, idle, brightness, identify, speech, full screen, and the settings
// stored on it. Independent of the server.

import { Model } from "./model.js";

const KEY = "wallcast.device";
/** `saverMinutes`: idle time before the clock shows, 0 for never. `help`: whether the help button is shown. */
const DEFAULTS = { saverMinutes: 5, help: true };
const IDENTIFY_MS = 12000;
const ACTIVITY_EVENTS = ["pointerdown", "touchstart", "mousedown", "keydown", "wheel"];

export class Device extends Model {
  constructor(storage) {
    super();
    this._storage = storage;
    this.settings = Object.assign({}, DEFAULTS, load(storage));
    this.isOff = false;
    this.isIdle = false;
    this.brightness = 100;
    this.identifying = false;
    this._lastActivityAt = Date.now();
    for (const type of ACTIVITY_EVENTS) {
      window.addEventListener(type, (event) => this._onActivity(event), { capture: true, passive: false });
    }
    setInterval(() => this._checkIdle(), 1000);
    document.addEventListener("visibilitychange", () => this.stayAwake());
    this.stayAwake();
  }

  /** Changes and stores settings. */
  configure(change) {
    this._set({ settings: Object.assign({}, this.settings, change) });
    try {
      this._storage.setItem(KEY, JSON.stringify(this.settings));
    } catch (error) {
      // Without storage the settings last until the page is closed.
    }
  }

  /** Shows a black screen until somebody touches it. */
  turnOff() {
    this._set({ isOff: true });
  }

  /** Ends the black screen and the idle clock. */
  wake() {
    this._lastActivityAt = Date.now();
    this._set({ isOff: false, isIdle: false });
  }

  /** Sets the brightness, clamped to 5 to 100 %. A page cannot control the backlight, so an overlay dims it. */
  dim(percent) {
    this._set({ brightness: Math.min(100, Math.max(5, percent)) });
  }

  /** Shows this tablet's name for a few seconds. */
  identify() {
    this.wake();
    this._set({ identifying: true });
    clearTimeout(this._identifyTimer);
    this._identifyTimer = setTimeout(() => this._set({ identifying: false }), IDENTIFY_MS);
  }

  stopIdentifying() {
    this._set({ identifying: false });
  }

  /** Speaks a text. Resolves when it has been spoken; rejects if the browser has no voice or takes over 20 s. */
  speak(text, language) {
    return new Promise((resolve, reject) => {
      const speech = window.speechSynthesis;
      if (!speech || !window.SpeechSynthesisUtterance) return reject(new Error("This browser has no voice"));
      const utterance = new SpeechSynthesisUtterance(text);
      utterance.lang = language;
      utterance.onend = () => resolve();
      utterance.onerror = ({ error }) => reject(new Error(`The voice failed: ${error}`));
      setTimeout(() => reject(new Error("The voice said nothing in time")), 20000);
      return speech.speak(utterance);
    });
  }

  /** Requests a screen wake lock where supported. Browsers release it whenever the page is hidden. */
  async stayAwake() {
    if (!navigator.wakeLock || document.visibilityState !== "visible") return;
    try {
      await navigator.wakeLock.request("screen");
    } catch (error) {
      // Refused, for example on low battery. Requested again when the page becomes visible.
    }
  }

  get canFillScreen() {
    const root = document.documentElement;
    return Boolean(root.requestFullscreen || root.webkitRequestFullscreen);
  }

  get fillsScreen() {
    return Boolean(document.fullscreenElement || document.webkitFullscreenElement);
  }

  fillScreen() {
    const root = document.documentElement;
    const [method, target] = this.fillsScreen
      ? [document.exitFullscreen || document.webkitExitFullscreen, document]
      : [root.requestFullscreen || root.webkitRequestFullscreen, root];
    const result = method.call(target);
    if (result && result.catch) result.catch(() => {});
  }

  /** The touch that wakes the tablet has no other effect: its events, including the click, are swallowed. */
  _onActivity(event) {
    const wasAsleep = this.isOff || this.isIdle;
    this._lastActivityAt = Date.now();
    if (!wasAsleep) return;
    event.preventDefault();
    event.stopPropagation();
    this.wake();
    if (event.type === "keydown") return;
    const swallow = (click) => (click.preventDefault(), click.stopPropagation());
    window.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", swallow, { capture: true }), 600);
  }

  _checkIdle() {
    const { saverMinutes } = this.settings;
    const isIdle = saverMinutes > 0 && Date.now() - this._lastActivityAt > saverMinutes * 60000;
    if (isIdle && !this.isIdle) this._set({ isIdle: true });
  }
}

function load(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) || {};
  } catch (error) {
    return {};
  }
}
