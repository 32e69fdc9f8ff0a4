// The home screen of a paired tablet: its areas at the side, the entities of the chosen area as tiles.

import { Badge, Icon, IconButton, classes, html, useEffect, useState } from "../shared/ui.js";
import { domainOf, formatNumber, isKnown, sortEntities } from "./entity.js";
import { bareClock, clock, useApp, useNow } from "./frame.js";
import { ICONS } from "./icons.js";
import { TileOf } from "./tiles.js";

/** A short summary of an area's state, such as "21 °C · 2 lights on". */
function summary(area, { server, t, language }) {
  if (!area.isEnabled) return t("area_off");
  const entities = server.entitiesOf(area).filter(isKnown);
  const lights = entities.filter(({ entityId }) => domainOf(entityId) === "light");
  const lit = lights.filter(({ state }) => state === "on").length;
  const thermometer = entities.find(({ attributes }) => attributes.device_class === "temperature");
  const parts = [];
  if (thermometer && Number.isFinite(Number(thermometer.state))) {
    parts.push(`${formatNumber(thermometer.state, language, 1)} ${thermometer.attributes.unit_of_measurement || "°"}`);
  }
  const isOpen = ({ entityId, state }) => domainOf(entityId) === "lock" && state === "unlocked";
  if (entities.some(isOpen)) parts.push(t("lock_unlocked"));
  if (lights.length) parts.push(lit ? t("lights_on", { n: lit }) : t("lights_off"));
  return parts.join(" · ");
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
  return html`<nav class="areas" aria-label=${app.t("areas")}>
    <ul>
      ${app.server.areas.map(
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
  const { device, help, messages, t, open } = useApp();
  const messagesLabel = messages.unread ? t("messages_unread", { n: messages.unread }) : t("messages");
  return html`<div class="actions">
    ${device.settings.help &&
    html`<${IconButton} label=${t("help_title")} onClick=${() => open({ help: true })}>
      <${Icon} path=${ICONS.help} />
      ${help.isOpen && html`<span class="dot"></span>`}
    <//>`}
    <${IconButton} label=${messagesLabel} onClick=${() => open({ messages: true })}>
      <${Icon} path=${ICONS.mail} />
      ${messages.unread > 0 && html`<span class="on-icon"><${Badge} kind="count">${messages.unread}<//></span>`}
    <//>
    <${IconButton} label=${t("settings")} onClick=${() => open({ settings: true })}><${Icon} path=${ICONS.gear} /><//>
  </div>`;
}

/** A notice while the shown states may be outdated, with the time they are from. */
function ConnectionNotice() {
  const { server, t, language } = useApp();
  useNow(1000);
  const isStale = server.isStale;
  return html`<div class="lost" role="status">
    ${isStale &&
    html`<p>
      <${Icon} path=${ICONS.offline} />
      <span>${server.asOf ? t("lost", { time: clock(language, server.asOf) }) : t("connecting")}</span>
    </p>`}
  </div>`;
}

function Area({ area }) {
  const app = useApp();
  const { server, t } = app;
  const entities = sortEntities(server.entitiesOf(area));
  return html`
    <header class="area-head">
      <h1 tabindex="-1">${area.name}</h1>
      ${area.isEnabled && html`<p class="soft">${summary(area, app)}</p>`}
    </header>
    ${!area.isEnabled
      ? html`<div class="empty"><p class="empty-title">${t("area_off")}</p><p class="soft">${t("area_off_text")}</p></div>`
      : entities.length === 0
        ? html`<div class="empty"><p class="empty-title">${t("area_empty")}</p><p class="soft">${t("area_empty_text")}</p></div>`
        : html`<ul class="tiles">
            ${entities.map((entity) => html`<${TileOf} key=${entity.entityId} entity=${entity} area=${area} />`)}
          </ul>`}
  `;
}

export function Home({ chosenId }) {
  const { server, t } = useApp();
  const [isStale, setStale] = useState(server.isStale);
  // No event reports silence, so staleness is polled.
  useEffect(() => {
    const timer = setInterval(() => setStale(server.isStale), 500);
    return () => clearInterval(timer);
  }, [server]);
  const chosen = server.area(chosenId) || server.areas[0];
  return html`<div class=${classes("home", server.isLive && "is-live", (isStale || server.isStale) && "is-stale")}>
    <aside class="side">
      <${Clock} />
      <${Areas} chosen=${chosen} />
      <${Actions} />
    </aside>
    <main class="page">
      <${ConnectionNotice} />
      ${chosen
        ? html`<${Area} area=${chosen} key=${chosen.id} />`
        : html`<div class="empty">
            <h1 class="empty-title">${server.isLoaded ? t("no_areas") : t("connecting")}</h1>
            <p class="soft">${server.isLoaded ? t("no_areas_text") : ""}</p>
          </div>`}
    </main>
  </div>`;
}
