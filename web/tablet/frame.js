// What every tile shares: its frame, its name and age, and what the app gives it.

import { Icon, IconButton, classes, createContext, html, useContext, useEffect, useState } from "../shared/ui.js";
import { domainOf, isKnown, shortName } from "./entity.js";
import { ICONS, iconOf } from "./icons.js";

/** `{house, say, language, device, messages, open}`. */
export const App = createContext(null);
export const useApp = () => useContext(App);

/** The time, drawn again every `everyMs`. */
export function useNow(everyMs) {
  const [now, turn] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => turn(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

const MINUTE = 60000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago, in the shortest words. */
export function age(say, sinceMs, nowMs) {
  const passed = Math.max(0, nowMs - sinceMs);
  if (passed < MINUTE) return say("just_now");
  if (passed < HOUR) return say("minutes", { n: Math.floor(passed / MINUTE) });
  if (passed < DAY) return say("hours", { n: Math.floor(passed / HOUR) });
  return say("days", { n: Math.floor(passed / DAY) });
}

/** Why the house did not do something, for whoever stands before the tablet. */
export function why(say, { code, status, message }) {
  if (code === "offline" || code === "timeout") return say("not_connected");
  if (code === "rate_limited" || status === 429) return say("too_often");
  if (code === "unavailable" || status === 502 || status === 503) return say("not_now");
  return message;
}

/** A time of day. */
export const clock = (language, ms) => new Date(ms).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });

/** The same for a large clock: figures alone, without words for the half of the day. */
export function bareClock(language, ms) {
  const parts = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" }).formatToParts(ms);
  const isTime = ({ type }) => type !== "dayPeriod";
  return parts
    .filter(isTime)
    .map(({ value }) => value)
    .join("")
    .trim();
}

/** How old an entity's state is, or since when nobody knows. */
function Age({ entity }) {
  const { house, say, language } = useApp();
  const now = useNow(10000);
  if (entity.isWished) return html`<span class="age">${say("asked")}</span>`;
  if (house.isStale) {
    return html`<span class="age">${house.asOf ? say("as_of", { time: clock(language, house.asOf) }) : say("not_known")}</span>`;
  }
  const changed = Date.parse(entity.lastChanged);
  if (!changed) return null;
  const skew = house.client.now() - Date.now();
  return html`<time class="age" datetime=${entity.lastChanged}>${age(say, changed, now + skew)}</time>`;
}

/**
 * A tile. With `onPress` all of it is one button; `isOn` then says whether it is pressed. `more` opens its
 * details. `tone`: "glow", "cool", "warn" or none.
 */
export function Tile({ entity, area, says, tone, isOn, onPress, more, children, isWide }) {
  const { say } = useApp();
  const name = shortName(entity, area && area.name);
  const known = isKnown(entity);
  const face = html`
    <span class="face-icon"><${Icon} path=${iconOf(entity, domainOf(entity.entityId))} /></span>
    <span class="face-words">
      <span class="name">${name}</span>
      <span class="says">${known ? says : say(entity.state === "unavailable" ? "unavailable" : "unknown")}</span>
      <${Age} entity=${entity} />
    </span>
  `;
  const pressed = isOn === undefined ? undefined : String(Boolean(isOn));
  return html`<li
    class=${classes("tile", known && tone, !known && "is-unknown", entity.isWished && "is-wished", isWide && "is-wide")}
    data-entity=${entity.entityId}
    data-state=${entity.state}
    aria-busy=${entity.isWished ? "true" : undefined}
  >
    ${onPress && known
      ? html`<button type="button" class="face" aria-pressed=${pressed} onClick=${onPress}>${face}</button>`
      : html`<div class="face">${face}</div>`}
    ${more && known && html`<${IconButton} class="tile-more" label=${say("more_of", { name })} onClick=${more}><${Icon} path=${ICONS.more} /><//>`}
    ${known && children && html`<div class="tile-controls">${children}</div>`}
  </li>`;
}

/** A slider that asks once it is let go, and meanwhile follows the finger. */
export function Slider({ label, value, min = 0, max = 100, step = 1, show, onAsk, class: more }) {
  const [held, hold] = useState(null);
  const shown = held === null ? value : held;
  const fill = max > min ? ((shown - min) / (max - min)) * 100 : 0;
  // A style sheet cannot know the value; the property is set from script, which the policy allows.
  const paint = (element) => element && element.style.setProperty("--fill", `${Math.max(0, Math.min(100, fill))}%`);
  return html`<label class=${classes("slider", more)}>
    <span class="slider-label"><span>${label}</span><span class="numbers soft">${show ? show(shown) : shown}</span></span>
    <input
      type="range"
      aria-label=${label}
      min=${min}
      max=${max}
      step=${step}
      value=${shown}
      ref=${paint}
      onInput=${(event) => hold(Number(event.target.value))}
      onChange=${(event) => {
        hold(null);
        onAsk(Number(event.target.value));
      }}
    />
  </label>`;
}
