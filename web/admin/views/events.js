// Live events, the event history from any id on, and a dialog that broadcasts an event.

import { html, useEffect, useState } from "../kit.js";
import { call } from "../api.js";
import { describeEvent } from "../describe.js";
import { store } from "../store.js";
import { Code, Dialog, Empty, ErrorText, Head, Icon, SelectField, TextField, toast, useAction, useList, useStore } from "../ui.js";
import { clockTime, count, fullTime, t } from "../words.js";

const MAX_SHOWN = 300;
const HIDDEN_TYPES = ["system_status", "connection"];

export function Events({ arg, rest }) {
  const { events, eventCount, link } = useStore();
  useList("clients");
  useList("areas");
  const [mode, setMode] = useState(arg === "from" ? "past" : "live");
  const [filter, setFilter] = useState("");
  const [paused, setPaused] = useState();
  const [past, setPast] = useState([]);
  const [isBroadcasting, setBroadcasting] = useState(false);
  const source = mode === "past" ? past : (paused ?? events.filter((event) => !HIDDEN_TYPES.includes(event.type)));
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (event) => {
    const text = `${event.type} ${describeEvent(event)} ${JSON.stringify(event.data)}`.toLowerCase();
    return words.every((word) => (word.startsWith("-") && word.length > 1 ? !text.includes(word.slice(1)) : text.includes(word)));
  };
  const matching = source.filter(matches);
  const shown = matching.slice(-MAX_SHOWN).reverse();
  const missed = paused ? eventCount - paused.from : 0;
  const pause = () => {
    if (paused) setPaused(undefined);
    else setPaused(Object.assign(events.filter((event) => !HIDDEN_TYPES.includes(event.type)), { from: eventCount }));
  };
  return html`<${Head} title=${t("Events")} lead=${t("Everything that admins are told, as it happens. Choose an event to see what it says.")}>
      <button type="button" onClick=${() => setBroadcasting(true)}><${Icon} name="send" size=${18} />${t("Send an event")}</button>
    </${Head}>
    <div class="toolbar">
      <select aria-label=${t("Which events")} value=${mode} onInput=${(e) => setMode(e.target.value)}>
        <option value="live">${t("Live")}</option><option value="past">${t("From the history")}</option>
      </select>
      <input type="search" class="grow" aria-label=${t("Filter")} placeholder=${t("Filter: words that must be there, -words that must not")} value=${filter} onInput=${(e) => setFilter(e.target.value)} />
      ${mode === "live" &&
      html`<button type="button" aria-pressed=${paused ? "true" : "false"} onClick=${pause}><${Icon} name=${paused ? "play" : "pause"} size=${18} />${paused ? t("Go on") : t("Pause")}</button>`}
      <button type="button" disabled=${matching.length === 0} onClick=${() => download(matching)}><${Icon} name="download" size=${18} />${t("Download")}</button>
    </div>
    ${mode === "past" && html`<${Replay} from=${rest[0]} onEvents=${setPast} />`}
    <p class="quiet-line" role="status">${paused ? t("Paused; {n} more came meanwhile.", { n: missed }) : count(matching.length, "{n} event", "{n} events")}${matching.length > MAX_SHOWN ? ` · ${t("the newest {n} are shown", { n: MAX_SHOWN })}` : ""}${mode === "live" && link.status !== "live" ? ` · ${t("nothing is heard at the moment")}` : ""}</p>
    ${shown.length === 0
      ? html`<section class="panel"><${Empty} icon="events" title=${source.length ? t("No event fits this filter") : mode === "live" ? t("Nothing has happened since this page was opened") : t("Nothing was loaded yet")}>
          ${mode === "live" && !source.length && html`<p>${t("Choose “From the history” to see what happened before.")}</p>`}</${Empty}></section>`
      : html`<ul class="log panel" aria-label=${t("Events")}>${shown.map((event) => html`<${Row} key=${event.key ?? event.id} event=${event} />`)}</ul>`}
    ${isBroadcasting && html`<${BroadcastDialog} onClose=${() => setBroadcasting(false)} />`}`;
}

function Row({ event }) {
  const [isOpen, setOpen] = useState(false);
  const payload = isOpen ? JSON.stringify({ id: event.id, type: event.type, timestamp: event.timestamp, data: event.data }, undefined, 2) : "";
  return html`<li>
    <button type="button" class="log-row" aria-expanded=${isOpen ? "true" : "false"} onClick=${() => setOpen(!isOpen)}>
      <time class="mono quiet" datetime=${event.timestamp} title=${fullTime(event.timestamp)}>${clockTime(event.timestamp)}</time>
      <span class="mono log-id quiet">${event.id ?? "·"}</span>
      <span class="mono log-type">${event.type}</span>
      <span class="log-words">${describeEvent(event)}</span>
    </button>
    ${isOpen && html`<div class="payload"><${Code} text=${payload} label=${t("What it says")} />${event.id && html`<a class="small-link" href=${`#events/from/${event.id - 1}`}>${t("Replay from here")}</a>`}</div>`}
  </li>`;
}

/** Reads the event history (docs/protocol.md#event-history) from an id on, page by page. */
function Replay({ from, onEvents }) {
  const [after, setAfter] = useState(from ?? "");
  const [type, setType] = useState("");
  const [state, set] = useState({ events: [], next: undefined, more: false, oldest: undefined, newest: undefined });
  const load = useAction(async (isMore) => {
    const start = isMore ? state.next : after === "" ? Math.max(0, (await call("GET", "api/events?limit=1&after=0")).lastEventId - 200) : Number(after);
    const types = type.trim() ? `&type=${encodeURIComponent(type.trim().replace(/[\s,]+/g, ","))}` : "";
    const answer = await call("GET", `api/events?limit=200&after=${start}${types}`);
    const events = [...(isMore ? state.events : []), ...answer.events];
    set({ events, next: answer.nextAfter, more: answer.more, oldest: answer.oldestEventId, newest: answer.lastEventId });
    onEvents(events);
  });
  useEffect(() => {
    load.run(false);
  }, []);
  const submit = (event) => {
    event.preventDefault();
    load.run(false);
  };
  return html`<form class="panel inline-form" onSubmit=${submit}>
    <${TextField} label=${t("From after event")} type="number" min="0" value=${after} onInput=${setAfter} hint=${state.newest !== undefined ? t("The history has {oldest} to {newest}. Empty: the last 200.", { oldest: state.oldest, newest: state.newest }) : undefined} />
    <${TextField} label=${t("Only these types")} class="grow" value=${type} onInput=${setType} placeholder="area_added, area_removed" />
    <button class="primary" disabled=${load.busy}>${t("Load")}</button>
    ${state.more && html`<button type="button" disabled=${load.busy} onClick=${() => load.run(true)}>${t("Load more")}</button>`}
    <${ErrorText} error=${load.error} />
  </form>`;
}

function download(events) {
  const lines = events.map(({ id, type, data, timestamp }) => JSON.stringify({ id, type, data, timestamp }));
  const url = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "application/x-ndjson" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `wallcast-events-${new Date().toISOString().slice(0, 19).replace(/:/g, "-")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const AUDIENCES = () => [
  ["", t("Everyone")], ["clientId", t("One tablet")], ["room_id", t("An area")], ["organizationId", t("An organisation")],
  ["tenantId", t("A tenant")], ["userId", t("A person")], ["room", t("A room of a namespace")],
];

/** Broadcasts a custom event (docs/protocol.md#broadcast). */
function BroadcastDialog({ onClose }) {
  const [form, set] = useState({ type: "", data: "{}", to: "", id: "", namespace: "/" });
  const change = (key) => (value) => set({ ...form, [key]: value });
  const clients = store.lists.clients.value ?? [];
  const areas = store.lists.areas.value ?? [];
  const send = useAction(async () => {
    let data;
    try {
      data = JSON.parse(form.data);
    } catch {
      throw new Error(t("What it says is not JSON. Write it as {example}.", { example: '{"key": "value"}' }));
    }
    const audience = form.to ? { [form.to]: form.id.trim() } : {};
    if (form.to === "room") audience.namespace = form.namespace;
    const answer = await call("POST", "api/websocket/broadcast", { type: form.type.trim(), data, ...audience });
    toast(count(answer.data.clients_count, "Told to {n} connection", "Told to {n} connections"));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    send.run();
  };
  const errorOf = (key) => (send.error?.field === key ? send.error.message : undefined);
  const known = { clientId: clients, room_id: areas }[form.to];
  return html`<${Dialog} title=${t("Send an event")} onClose=${onClose}>
    <form onSubmit=${submit}>
      <${TextField} label=${t("Type")} required class="mono" value=${form.type} onInput=${change("type")} error=${errorOf("type")} placeholder="custom_notification" hint=${t("A name of your own in small letters; Wallcast’s own types are taken.")} />
      <${TextField} label=${t("What it says (JSON)")} multiline rows="4" class="mono" required value=${form.data} onInput=${change("data")} error=${errorOf("data")} />
      <div class="field-row">
        <${SelectField} label=${t("Told to")} value=${form.to} onInput=${(to) => set({ ...form, to, id: "" })} options=${AUDIENCES()} />
        ${form.to === "room" && html`<${SelectField} label=${t("Namespace")} value=${form.namespace} onInput=${change("namespace")} options=${["/", "/ws/lockers", "/ws/help", "/ws/events"].map((path) => [path, path])} />`}
        ${form.to && (known
          ? html`<${SelectField} label=${t("Which")} value=${form.id} onInput=${change("id")} options=${[["", t("choose…")], ...known.map((one) => [one.id, one.name])]} />`
          : html`<${TextField} label=${t("Which")} required value=${form.id} onInput=${change("id")} />`)}
      </div>
      ${!["type", "data"].includes(send.error?.field) && html`<${ErrorText} error=${send.error} />`}
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${send.busy || !form.type.trim() || (form.to && !form.id.trim())}>${t("Send")}</button></div>
    </form>
  </${Dialog}>`;
}
