// The overview: tablets online, delivery latency, pending requests, status board and last events.

import { html, useEffect, useRef, useState } from "../kit.js";
import { store } from "../store.js";
import { LatencyChart } from "../chart.js";
import { describeEvent, humanize, kioskName } from "../describe.js";
import { Ago, Badge, Empty, Head, Icon, Loaded, Panel, useList, useStore } from "../ui.js";
import { count, number, span, t } from "../words.js";
import { statusWord } from "../statuses.js";
import { serviceTone } from "./board.js";

const POLL_MS = 2000;
/** Event types left out of the last events, because they follow from others or are too frequent. */
const HIDDEN_TYPES = ["system_status", "connection", "conversation_update", "unread_count_update", "message_status_update", "presence", "typing", "room_updated", "entity_states", "entity_state_changed", "result"];

export function Overview() {
  const clients = useList("clients");
  const first = clients.value?.length === 0;
  return html`<${Head} title=${t("Overview")} />
    ${first
      ? html`<section class="panel welcome">
          <${Empty} icon="tablet" title=${t("Welcome! There is no tablet yet.")}>
            <p>${t("Open Wallcast on a tablet and type in the code that you get here. It takes a minute.")}</p>
            <a class="button primary" href="#pair">${t("Add the first tablet")}</a>
          </${Empty}>
        </section>`
      : null}
    <${Figures} clients=${clients} />
    <div class="columns wide-left at-a-glance">
      <div class="stack"><${Latency} /><${LastEvents} /></div>
      <div class="stack"><${PendingPanel} /><${BoardPanel} /><${ServerPanel} /></div>
    </div>`;
}

function Figure({ label, value, note, of, href, tone }) {
  const body = html`<span class="figure-label">${label}</span>
    <span class=${`figure-value ${tone ?? ""}`}>${value ?? "–"}</span>
    <span class="figure-note">${note ?? ""}</span>`;
  return html`<li data-stale=${of.isStale ? "yes" : null}>${href ? html`<a href=${href}>${body}</a>` : html`<div>${body}</div>`}</li>`;
}

function Figures({ clients }) {
  const traffic = useList("traffic", POLL_MS);
  const latency = useList("latency", POLL_MS);
  const rate = useRate(traffic);
  const active = clients.value?.filter((client) => client.isActive);
  const online = active?.filter((client) => client.isOnline).length;
  const sent = traffic.value?.data.messages_sent;
  const measured = latency.value?.latency_metrics;
  // Before the first delivery the percentiles are 0: show no value rather than 0 ms.
  const ms = measured?.p99 > 0 ? measured : undefined;
  return html`<ul class="figures">
    <${Figure} label=${t("Tablets online")} of=${clients} href="#tablets"
      value=${active && html`${number(online)}<small> / ${number(active.length)}</small>`}
      note=${active?.length ? (online === active.length && online > 0 ? t("all of them") : count(active.length - online, "{n} is away", "{n} are away")) : ""} />
    <${Figure} label=${t("Deliveries")} of=${traffic} value=${sent !== undefined && number(sent)}
      note=${rate === undefined ? t("since the start") : t("{n} a second", { n: number(rate) })} />
    <${Figure} label=${t("Half arrive within")} of=${latency} value=${ms && milliseconds(ms.median)} note=${t("from commit to wire")} />
    <${Figure} label=${t("99 of 100 within")} of=${latency} value=${ms && milliseconds(ms.p99)} note=${t("of the last 10,000")} />
  </ul>`;
}

/** Deliveries per second between two polls. */
function useRate(traffic) {
  const last = useRef();
  const [rate, setRate] = useState();
  useEffect(() => {
    if (!traffic.value) return;
    const now = { at: traffic.at, sent: traffic.value.data.messages_sent };
    const before = last.current;
    last.current = now;
    if (before && now.at > before.at && now.sent >= before.sent) {
      setRate(Math.round(((now.sent - before.sent) / (now.at - before.at)) * 10_000) / 10);
    }
  }, [traffic.at]);
  return rate;
}

function milliseconds(value) {
  return html`${number(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))}<small> ms</small>`;
}

function Latency() {
  const latency = useList("latency", POLL_MS);
  return html`<${Panel} title=${t("How long a delivery takes")} of=${latency}>
    <${LatencyChart} list=${latency} />
  </${Panel}>`;
}

function PendingPanel() {
  const requests = useList("requests");
  const help = useList("help");
  const unread = useList("unread");
  const asking = requests.value?.filter((request) => request.status === "pending") ?? [];
  const open = help.value?.filter((request) => request.status === "open") ?? [];
  const total = unread.value?.totalUnread ?? 0;
  const nothing = asking.length + open.length + total === 0;
  return html`<${Panel} title=${t("What waits")} of=${requests} class="first">
    <${Loaded} of=${requests}>
      ${nothing && html`<p class="quiet-line"><${Icon} name="check" size=${18} /> ${t("Nothing waits for you.")}</p>`}
      <ul class="rows tight">
        ${asking.map(
          (request) => html`<li key=${request.pairingId}><a class="row" href=${`#pair`}>
            <span class="row-main"><strong>${request.name ?? t("A tablet")}</strong><span class="quiet">${t("wants to be paired")}</span></span>
            <${Ago} at=${request.createdAt} />
          </a></li>`,
        )}
        ${open.map(
          (request) => html`<li key=${request.id}><a class="row" href="#help">
            <span class="row-main"><strong>${t("Help: {category}", { category: humanize(request.category) })}</strong><span class="quiet">${request.note ?? kioskName(request.kiosk_id)}</span></span>
            <${Ago} at=${request.created_at} />
          </a></li>`,
        )}
        ${total > 0 &&
        html`<li><a class="row" href="#messages"><span class="row-main"><strong>${count(total, "{n} unread message", "{n} unread messages")}</strong></span><${Icon} name="next" size=${16} /></a></li>`}
      </ul>
    </${Loaded}>
  </${Panel}>`;
}

function BoardPanel() {
  const board = useList("board");
  return html`<${Panel} title=${t("Status board")} of=${board} actions=${html`<a class="small-link" href="#board">${t("Open")}</a>`}>
    <${Loaded} of=${board}>
      <ul class="rows tight">
        ${board.value?.services.map(
          (service) => html`<li key=${service.id} class="row">
            <span class="row-main"><span>${service.name}</span></span><${Badge} tone=${serviceTone(service.status)}>${statusWord(service.status)}</${Badge}>
          </li>`,
        )}
      </ul>
      ${board.value?.incidents.length > 0 &&
      html`<p class="quiet-line"><${Icon} name="warning" size=${18} /> ${count(board.value.incidents.length, "{n} open incident", "{n} open incidents")}</p>`}
    </${Loaded}>
  </${Panel}>`;
}

function ServerPanel() {
  const { system, link } = useStore();
  const health = useList("health", 30_000);
  const details = system?.details;
  const stale = { isStale: link.status !== "live" || health.isStale, at: health.at };
  return html`<${Panel} title=${t("This Wallcast")} of=${stale}>
    <${Loaded} of=${health}>
      <dl class="facts">
        <dt>${t("Version")}</dt><dd>${health.value?.version}</dd>
        <dt>${t("Database")}</dt><dd>${health.value?.services.database === "connected" ? t("takes writes") : t("takes no writes")}</dd>
        <dt>Home Assistant</dt><dd>${homeAssistantWord(health.value?.services.homeassistant)}</dd>
        <dt>${t("Connections")}</dt><dd>${number(health.value?.services.websocket.connections ?? 0)}</dd>
        ${details && html`<dt>${t("Running for")}</dt><dd>${span(details.uptime_seconds * 1000)}</dd>
          <dt>${t("Memory")}</dt><dd>${Math.round(details.memory_bytes / 1048576)} MB</dd>`}
      </dl>
    </${Loaded}>
  </${Panel}>`;
}

function homeAssistantWord(word) {
  if (word === "disabled") return t("not configured");
  if (word === "connected") return t("connected");
  return word ? t("away ({word})", { word }) : "–";
}

function LastEvents() {
  const { events } = useStore();
  const shown = events.filter((event) => !HIDDEN_TYPES.includes(event.type)).slice(-8).reverse();
  return html`<${Panel} title=${t("Just happened")} actions=${html`<a class="small-link" href="#events">${t("All events")}</a>`}>
    ${shown.length === 0
      ? html`<p class="quiet-line">${store.link.status === "live" ? t("Nothing yet. What happens in the house shows up here.") : t("Nothing is heard at the moment.")}</p>`
      : html`<ul class="rows tight">
          ${shown.map(
            (event) => html`<li key=${event.key} class="row">
              <span class="row-main"><span>${describeEvent(event)}</span></span><${Ago} at=${event.timestamp} />
            </li>`,
          )}
        </ul>`}
  </${Panel}>`;
}
