// What admins did: who, what, when and from where.

import { html, useEffect, useState } from "../kit.js";
import { call } from "../api.js";
import { areaName, clientName } from "../describe.js";
import { Badge, Empty, ErrorText, Head, Icon, useAction, useEvents, useList } from "../ui.js";
import { clockTime, fullTime, t } from "../words.js";

export function Audit() {
  useList("clients");
  useList("areas");
  const [state, set] = useState({ entries: undefined, next: undefined });
  const [filter, setFilter] = useState("");
  const load = useAction(async (cursor) => {
    const answer = await call("GET", `api/audit?limit=100${cursor ? `&cursor=${cursor}` : ""}`);
    set({ entries: cursor ? [...state.entries, ...answer.entries] : answer.entries, next: answer.nextCursor });
  });
  useEffect(() => {
    load.run();
  }, []);
  useEvents((event) => {
    // Most acts tell an event; the page that is looked at follows while nobody has gone further back.
    if (event.id && (state.entries?.length ?? 0) <= 100 && !load.busy) load.run();
  });
  const wanted = filter.toLowerCase();
  const shown = (state.entries ?? []).filter((entry) => JSON.stringify({ ...entry, name: nameOf(entry) }).toLowerCase().includes(wanted));
  let day;
  return html`<${Head} title=${t("Audit")} lead=${t("Every act of an admin: who, what, when and from where.")}>
      <button type="button" disabled=${load.busy} onClick=${() => load.run()}><${Icon} name="refresh" size=${18} />${t("Refresh")}</button>
    </${Head}>
    <div class="toolbar"><input type="search" class="grow" aria-label=${t("Filter")} placeholder=${t("Filter: a name, an act, an address")} value=${filter} onInput=${(e) => setFilter(e.target.value)} /></div>
    <${ErrorText} error=${load.error} />
    ${!state.entries && load.busy && html`<p class="loading" role="status">${t("Loading…")}</p>`}
    ${state.entries && shown.length === 0
      ? html`<section class="panel"><${Empty} icon="audit" title=${filter ? t("Nothing fits this filter") : t("Nobody has done anything yet")} /></section>`
      : html`<ul class="log panel audit" aria-label=${t("Acts")}>
          ${shown.flatMap((entry) => {
            const today = new Date(entry.timestamp).toDateString();
            const head = today === day ? [] : [html`<li key=${today} class="day">${fullTime(entry.timestamp).replace(clockTime(entry.timestamp), "").replace(/[,\s]+$/, "")}</li>`];
            day = today;
            return [...head, html`<li key=${entry.id} class="log-row">
              <time class="mono quiet" datetime=${entry.timestamp} title=${fullTime(entry.timestamp)}>${clockTime(entry.timestamp)}</time>
              <span class="mono log-type">${entry.action}</span>
              <span class="log-words"><strong>${nameOf(entry)}</strong> <span class="quiet">${entry.detail}</span></span>
              <span class="quiet log-who">${entry.actor} · ${entry.address}</span>
            </li>`];
          })}
        </ul>`}
    ${state.next && html`<div class="buttons center"><button type="button" disabled=${load.busy} onClick=${() => load.run(state.next)}>${t("Older")}</button></div>`}`;
}

function nameOf({ target }) {
  if (!target) return "";
  if (target.startsWith("client_")) return clientName(target);
  if (target.startsWith("area_")) return areaName(target);
  return target;
}
