// What this tablet is asked to be: awake, dark, dimmed, named aloud. It keeps its own settings; it knows
// nothing of the house.

import { Model } from "./model.js";

const KEY = "wallcast.device";
/** `saverMinutes` 0 is never. `help` is whether the help button is there; an admin's `configure` decides. */
const DEFAULTS = { saverMinutes: 5, help: true };
const IDENTIFY_MS = 12000;
const SIGNS_OF_LIFE = ["pointerdown", "touchstart", "mousedown", "keydown", "wheel"];

export class Device extends Model {
  constructor(storage) {
    super();
    this._storage = storage;
    this.settings = Object.assign({}, DEFAULTS, read(storage));
    this.isOff = false;
    this.isIdle = false;
    this.brightness = 100;
    this.identifying = false;
    this._touchedAt = Date.now();
    for (const sign of SIGNS_OF_LIFE) {
      window.addEventListener(sign, (event) => this._touched(event), { capture: true, passive: false });
    }
    setInterval(() => this._look(), 1000);
    document.addEventListener("visibilitychange", () => this.stayAwake());
    this.stayAwake();
  }

  /** Changes settings and keeps them. */
  configure(change) {
    this._set({ settings: Object.assign({}, this.settings, change) });
    try {
      this._storage.setItem(KEY, JSON.stringify(this.settings));
    } catch (error) {
      // They hold until the page is left.
    }
  }

  /** Black until somebody touches it. */
  turnOff() {
    this._set({ isOff: true });
  }

  /** Shows the house again, as a touch does. */
  wake() {
    this._touchedAt = Date.now();
    this._set({ isOff: false, isIdle: false });
  }

  /** A page cannot turn the backlight down, so it lays a veil over itself: 5 to 100 per cent. */
  dim(percent) {
    this._set({ brightness: Math.min(100, Math.max(5, percent)) });
  }

  /** Says for a while which tablet this is. */
  identify() {
    this.wake();
    this._set({ identifying: true });
    clearTimeout(this._identified);
    this._identified = setTimeout(() => this._set({ identifying: false }), IDENTIFY_MS);
  }

  stopIdentifying() {
    this._set({ identifying: false });
  }

  /** Says a text aloud; done when it has been said, and an error where there is no voice. */
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

  /** Asks the browser to keep the screen on, where it can; it forgets whenever the page was hidden. */
  async stayAwake() {
    if (!navigator.wakeLock || document.visibilityState !== "visible") return;
    try {
      await navigator.wakeLock.request("screen");
    } catch (error) {
      // Low battery, or a page that was never touched: it is asked again when the page is shown.
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
    const [act, on] = this.fillsScreen
      ? [document.exitFullscreen || document.webkitExitFullscreen, document]
      : [root.requestFullscreen || root.webkitRequestFullscreen, root];
    const acting = act.call(on);
    if (acting && acting.catch) acting.catch(() => {});
  }

  /** The touch that wakes a dark tablet does nothing else. */
  _touched(event) {
    const wasAsleep = this.isOff || this.isIdle;
    this._touchedAt = Date.now();
    if (!wasAsleep) return;
    event.preventDefault();
    event.stopPropagation();
    this.wake();
    if (event.type === "keydown") return;
    const swallow = (click) => (click.preventDefault(), click.stopPropagation());
    window.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", swallow, { capture: true }), 600);
  }

  _look() {
    const { saverMinutes } = this.settings;
    const isIdle = saverMinutes > 0 && Date.now() - this._touchedAt > saverMinutes * 60000;
    if (isIdle && !this.isIdle) this._set({ isIdle: true });
  }
}

function read(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) || {};
  } catch (error) {
    return {};
  }
}
