// The audit log: the actions of admins.

import { html, useEffect, useState } from "../kit.js";
import { call } from "../api.js";
import { Empty, ErrorText, Head, Icon, useAction, useEvents, useList } from "../ui.js";
import { clockTime, fullTime, t } from "../words.js";

export function Audit() {
  const tokens = useList("tokens");
  const lists = ["clients", "areas", "services", "incidents"].map((name) => useList(name).value ?? []).concat([tokens.value ?? []]);
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
    // Most audited actions publish an event. Reload on events, unless older pages are loaded.
    if (event.id && (state.entries?.length ?? 0) <= 100 && !load.busy) load.run();
  });
  const wanted = filter.toLowerCase();
  const shown = (state.entries ?? []).filter((entry) => `${JSON.stringify(entry)} ${withNames(`${entry.target} ${entry.detail}`, lists)}`.toLowerCase().includes(wanted));
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
              <span class="log-words">${named(entry.target, lists) ?? ""} <span class="quiet">${detailOf(entry, lists)}</span></span>
              <span class="quiet log-who">${actorName(entry.actor, tokens.value)} · ${entry.address}</span>
            </li>`];
          })}
        </ul>`}
    ${state.next && html`<div class="buttons center"><button type="button" disabled=${load.busy} onClick=${() => load.run(state.next)}>${t("Older")}</button></div>`}`;
}

/** The name of what an id refers to; a shortened id if it has none. */
function named(id, lists) {
  if (!id) return undefined;
  for (const list of lists) {
    const found = list.find((thing) => (thing.id ?? thing.jti) === id);
    if (found) return html`<strong>${found.name ?? found.title}</strong>`;
  }
  return /^[a-z]+_[\w-]{16,}$|^[\w-]{20,}$/.test(id) ? html`<span class="mono quiet" title=${id}>${id.slice(0, 12)}…</span>` : html`<strong>${id}</strong>`;
}

/** The detail, without the target's name, which is shown before it. */
function detailOf({ target, detail }, lists) {
  const found = lists.flat().find((thing) => (thing.id ?? thing.jti) === target);
  const name = found?.name ?? found?.title;
  if (name && detail.startsWith(`${name}: `)) return detail.slice(name.length + 2);
  return detail === name ? "" : withNames(detail, lists);
}

function withNames(text, lists) {
  return text.replace(/\b(client|area)_[\w-]+/g, (id) => lists.flat().find((thing) => thing.id === id)?.name ?? id);
}

function actorName(actor, tokens) {
  const [role, ...rest] = actor.split(":");
  const subject = rest.join(":");
  const token = tokens?.find((one) => one.role === role && one.subject === subject);
  return token ? `${token.name} (${role})` : subject === "cli" ? t("command line") : actor;
}
