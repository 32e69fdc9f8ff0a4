// A paired tablet's page: its areas at the side, the chosen one's entities as tiles.

import { Badge, Icon, IconButton, classes, html, useEffect, useState } from "../shared/ui.js";
import { domainOf, inOrder, isKnown, number } from "./entity.js";
import { bareClock, clock, useApp, useNow } from "./frame.js";
import { ICONS } from "./icons.js";
import { TileOf } from "./tiles.js";

/** What an area is like now, in a few words. */
function summary(area, { house, say, language }) {
  if (!area.isEnabled) return say("area_off");
  const entities = house.entitiesOf(area).filter(isKnown);
  const lights = entities.filter(({ entityId }) => domainOf(entityId) === "light");
  const lit = lights.filter(({ state }) => state === "on").length;
  const thermometer = entities.find(({ attributes }) => attributes.device_class === "temperature");
  const words = [];
  if (thermometer && Number.isFinite(Number(thermometer.state))) {
    words.push(`${number(thermometer.state, language, 1)} ${thermometer.attributes.unit_of_measurement || "°"}`);
  }
  const isOpen = ({ entityId, state }) => domainOf(entityId) === "lock" && state === "unlocked";
  if (entities.some(isOpen)) words.push(say("lock_unlocked"));
  if (lights.length) words.push(lit ? say("lights_on", { n: lit }) : say("lights_off"));
  return words.join(" · ");
}

function Clock() {
  const { language } = useApp();
  const now = useNow(1000);
  return html`<div class="clock">
    <p class="clock-time numbers">${bareClock(language, now)}</p>
    <p class="clock-date soft">${new Date(now).toLocaleDateString(language, { weekday: "long", day: "numeric", month: "long" })}</p>
  </div>`;
}

function Areas({ chosen }) {
  const app = useApp();
  return html`<nav class="areas" aria-label=${app.say("areas")}>
    <ul>
      ${app.house.areas.map(
        (area) => html`<li key=${area.id}>
          <button
            type="button"
            class="area-link"
            aria-current=${chosen && area.id === chosen.id ? "page" : undefined}
            onClick=${() => app.show(area.id)}
          >
            <span class="area-name">${area.name}</span>
            <span class="area-summary soft small">${summary(area, app)}</span>
          </button>
        </li>`,
      )}
    </ul>
  </nav>`;
}

function Actions() {
  const { device, help, messages, say, open } = useApp();
  const letters = messages.unread ? say("messages_unread", { n: messages.unread }) : say("messages");
  return html`<div class="actions">
    ${device.settings.help &&
    html`<${IconButton} label=${say("help_title")} onClick=${() => open({ help: true })}>
      <${Icon} path=${ICONS.help} />
      ${help.isOpen && html`<span class="dot"></span>`}
    <//>`}
    <${IconButton} label=${letters} onClick=${() => open({ messages: true })}>
      <${Icon} path=${ICONS.mail} />
      ${messages.unread > 0 && html`<span class="on-icon"><${Badge} kind="count">${messages.unread}<//></span>`}
    <//>
    <${IconButton} label=${say("settings")} onClick=${() => open({ settings: true })}><${Icon} path=${ICONS.gear} /><//>
  </div>`;
}

/** Says that what is shown may be old, and how old. */
function Lost() {
  const { house, say, language } = useApp();
  useNow(1000);
  const isStale = house.isStale;
  return html`<div class="lost" role="status">
    ${isStale &&
    html`<p>
      <${Icon} path=${ICONS.offline} />
      <span>${house.asOf ? say("lost", { time: clock(language, house.asOf) }) : say("connecting")}</span>
    </p>`}
  </div>`;
}

function Area({ area }) {
  const app = useApp();
  const { house, say } = app;
  const entities = inOrder(house.entitiesOf(area));
  return html`
    <header class="area-head">
      <h1 tabindex="-1">${area.name}</h1>
      ${area.isEnabled && html`<p class="soft">${summary(area, app)}</p>`}
    </header>
    ${!area.isEnabled
      ? html`<div class="empty"><p class="empty-title">${say("area_off")}</p><p class="soft">${say("area_off_text")}</p></div>`
      : entities.length === 0
        ? html`<div class="empty"><p class="empty-title">${say("area_empty")}</p><p class="soft">${say("area_empty_text")}</p></div>`
        : html`<ul class="tiles">
            ${entities.map((entity) => html`<${TileOf} key=${entity.entityId} entity=${entity} area=${area} />`)}
          </ul>`}
  `;
}

export function Home({ chosenId }) {
  const { house, say } = useApp();
  const [isStale, setStale] = useState(house.isStale);
  // Silence makes no event, so it is looked for.
  useEffect(() => {
    const timer = setInterval(() => setStale(house.isStale), 500);
    return () => clearInterval(timer);
  }, [house]);
  const chosen = house.area(chosenId) || house.areas[0];
  return html`<div class=${classes("home", house.isLive && "is-live", (isStale || house.isStale) && "is-stale")}>
    <aside class="side">
      <${Clock} />
      <${Areas} chosen=${chosen} />
      <${Actions} />
    </aside>
    <main class="page">
      <${Lost} />
      ${chosen
        ? html`<${Area} area=${chosen} key=${chosen.id} />`
        : html`<div class="empty">
            <h1 class="empty-title">${house.hasAreas ? say("no_areas") : say("connecting")}</h1>
            <p class="soft">${house.hasAreas ? say("no_areas_text") : ""}</p>
          </div>`}
    </main>
  </div>`;
}
