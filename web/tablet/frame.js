// Shared parts of the tiles and dialogs: the app context, the Tile and Slider components, and helpers for times
// and error texts.

import { Icon, IconButton, classes, createContext, html, useContext, useEffect, useState } from "../shared/ui.js";
import { domainOf, isKnown, shortName } from "./entity.js";
import { ICONS, iconOf } from "./icons.js";

/** Context of the paired app: `{server, device, messages, help, t, language, show, open}`. */
export const App = createContext(null);
export const useApp = () => useContext(App);

/** The current time in ms; renders again every `everyMs`. */
export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

const MINUTE = 60000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago, as a short text. */
export function age(t, sinceMs, nowMs) {
  const passed = Math.max(0, nowMs - sinceMs);
  if (passed < MINUTE) return t("just_now");
  if (passed < HOUR) return t("minutes", { n: Math.floor(passed / MINUTE) });
  if (passed < DAY) return t("hours", { n: Math.floor(passed / HOUR) });
  return t("days", { n: Math.floor(passed / DAY) });
}

/** An error of a request as a text for the person at the tablet. */
export function errorText(t, { code, status, message }) {
  if (code === "offline" || code === "timeout") return t("not_connected");
  if (code === "rate_limited" || status === 429) return t("too_often");
  if (code === "unavailable" || status === 502 || status === 503) return t("not_now");
  return message;
}

export const clock = (language, ms) => new Date(ms).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });

/** The time of day for a large clock, without AM or PM. */
export function bareClock(language, ms) {
  const parts = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" }).formatToParts(ms);
  const isTime = ({ type }) => type !== "dayPeriod";
  return parts
    .filter(isTime)
    .map(({ value }) => value)
    .join("")
    .trim();
}

/** The age of an entity's state; while the data is stale, the time it was last known to be valid. */
function Age({ entity }) {
  const { server, t, language } = useApp();
  const now = useNow(10000);
  if (entity.isPending) return html`<span class="age">${t("asked")}</span>`;
  if (server.isStale) {
    return html`<span class="age">${server.asOf ? t("as_of", { time: clock(language, server.asOf) }) : t("not_known")}</span>`;
  }
  const changed = Date.parse(entity.lastChanged);
  if (!changed) return null;
  const skew = server.client.now() - Date.now();
  return html`<time class="age" datetime=${entity.lastChanged}>${age(t, changed, now + skew)}</time>`;
}

/**
 * The tile of an entity. With `onPress` the whole tile is a button, and with `isOn` a toggle button. `more` opens
 * the details dialog. `tone`: "glow", "lit", "cool", "warn", "alarm" or none.
 */
export function Tile({ entity, area, stateText, tone, isOn, onPress, more, children, isWide }) {
  const { t } = useApp();
  const name = shortName(entity, area && area.name);
  const known = isKnown(entity);
  const face = html`
    <span class="face-icon"><${Icon} path=${iconOf(entity, domainOf(entity.entityId))} /></span>
    <span class="face-words">
      <span class="name">${name}</span>
      <span class="says">${known ? stateText : t(entity.state === "unavailable" ? "unavailable" : "unknown")}</span>
      <${Age} entity=${entity} />
    </span>
  `;
  const pressed = isOn === undefined ? undefined : String(Boolean(isOn));
  return html`<li
    class=${classes("tile", known && tone, !known && "is-unknown", entity.isPending && "is-wished", isWide && "is-wide")}
    data-entity=${entity.entityId}
    data-state=${entity.state}
    aria-busy=${entity.isPending ? "true" : undefined}
  >
    ${onPress && known
      ? html`<button type="button" class="face" aria-pressed=${pressed} onClick=${onPress}>${face}</button>`
      : html`<div class="face">${face}</div>`}
    ${more && known && html`<${IconButton} class="tile-more" label=${t("more_of", { name })} onClick=${more}><${Icon} path=${ICONS.more} /><//>`}
    ${known && children && html`<div class="tile-controls">${children}</div>`}
  </li>`;
}

/** A slider that follows the finger and calls `onCommit` with the value on release. */
export function Slider({ label, value, min = 0, max = 100, step = 1, show, onCommit, class: more }) {
  const [dragged, setDragged] = useState(null);
  const shown = dragged === null ? value : dragged;
  const fill = max > min ? ((shown - min) / (max - min)) * 100 : 0;
  // Set through the CSSOM, because the content security policy forbids style attributes.
  const setFill = (element) => element && element.style.setProperty("--fill", `${Math.max(0, Math.min(100, fill))}%`);
  return html`<label class=${classes("slider", more)}>
    <span class="slider-label"><span>${label}</span><span class="numbers soft">${show ? show(shown) : shown}</span></span>
    <input
      type="range"
      aria-label=${label}
      min=${min}
      max=${max}
      step=${step}
      value=${shown}
      ref=${setFill}
      onInput=${(event) => setDragged(Number(event.target.value))}
      onChange=${(event) => {
        setDragged(null);
        onCommit(Number(event.target.value));
      }}
    />
  </label>`;
}
