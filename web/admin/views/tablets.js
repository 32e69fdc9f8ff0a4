// The list of tablets: presence, areas and how far each is behind.

import { html, useState } from "../kit.js";
import { Ago, Empty, Head, Icon, Loaded, Presence, useList } from "../ui.js";
import { count, span, t } from "../words.js";
import { BulkAreas } from "./bulk.js";

export function Tablets() {
  const clients = useList("clients", 30_000);
  const positions = useList("positions", 5000);
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState("all");
  const [chosen, setChosen] = useState(new Set());
  const [isAssigning, setAssigning] = useState(false);
  const behind = new Map(positions.value?.map((position) => [position.clientId, position.behind]));
  const wanted = filter.toLowerCase();
  const list = (clients.value ?? []).filter(
    (client) =>
      [client.name, client.id, client.platform, client.kioskId].some((text) => text?.toLowerCase().includes(wanted)) &&
      (shown === "all" || (shown === "online") === client.isOnline),
  );
  const choose = (id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  return html`<${Head} title=${t("Tablets")}>
      <a class="button primary" href="#pair"><${Icon} name="add" size=${18} />${t("Add a tablet")}</a>
    </${Head}>
    <${Loaded} of=${clients}>
      ${clients.value?.length === 0
        ? html`<section class="panel"><${Empty} icon="tablet" title=${t("There is no tablet yet")}>
            <p>${t("Open Wallcast on a tablet and type in the code that you get here.")}</p>
            <a class="button primary" href="#pair">${t("Add the first tablet")}</a>
          </${Empty}></section>`
        : html`<div class="toolbar">
              <input type="search" aria-label=${t("Search tablets")} placeholder=${t("Search tablets")} value=${filter} onInput=${(e) => setFilter(e.target.value)} />
              <select aria-label=${t("Show")} value=${shown} onInput=${(e) => setShown(e.target.value)}>
                <option value="all">${t("All")}</option><option value="online">${t("Online")}</option><option value="offline">${t("Offline")}</option>
              </select>
              ${chosen.size > 0
                ? html`<button type="button" onClick=${() => setAssigning(true)}>${count(chosen.size, "Areas of {n} tablet…", "Areas of {n} tablets…")}</button>
                    <button type="button" class="link" onClick=${() => setChosen(new Set())}>${t("Choose none")}</button>`
                : html`<span class="hint">${t("Tick tablets to give areas to many at once.")}</span>`}
            </div>
            <ul class="rows cards" aria-label=${t("Tablets")} data-stale=${clients.isStale ? "yes" : null}>
              ${list.map(
                (client) => html`<${Row} key=${client.id} client=${client} behind=${behind.get(client.id)} stale=${clients.isStale}
                  isChosen=${chosen.has(client.id)} onChoose=${() => choose(client.id)} />`,
              )}
            </ul>
            ${list.length === 0 && html`<p class="quiet-line">${t("No tablet fits this search.")}</p>`}`}
    </${Loaded}>
    ${isAssigning &&
    html`<${BulkAreas} clients=${clients.value.filter((client) => chosen.has(client.id))} onClose=${() => setAssigning(false)} onDone=${() => setChosen(new Set())} />`}`;
}

function Row({ client, behind, stale, isChosen, onChoose }) {
  return html`<li class="row tablet-row">
    <label class="pick"><input type="checkbox" checked=${isChosen} onChange=${onChoose} aria-label=${t("Choose {name}", { name: client.name })} /></label>
    <a class="row-main" href=${`#tablets/${encodeURIComponent(client.id)}`}>
      <strong>${client.name}</strong>
      <span class="quiet">${client.platform ?? t("platform unknown")}</span>
    </a>
    <span class="row-areas"><${AreaNames} areas=${client.assignedAreas} /></span>
    <span class="row-state"><${Presence} client=${client} stale=${stale} />
      <small class="quiet live">${client.isOnline && !stale ? html`<${Behind} behind=${behind} />` : client.lastSeenAt ? html`${t("seen")} <${Ago} at=${client.lastSeenAt} />` : t("never seen")}</small></span>
    <${Icon} name="next" size=${16} />
  </li>`;
}

export function AreaNames({ areas }) {
  if (areas.length === 0) return html`<span class="quiet">${t("no areas")}</span>`;
  return html`${areas.slice(0, 3).map((area) => html`<span key=${area.id} class=${`chip ${area.isEnabled ? "" : "off"}`}>${area.name}</span>`)}
    ${areas.length > 3 && html`<span class="quiet">${t("and {n} more", { n: areas.length - 3 })}</span>`}`;
}

/** How many events and how much time a tablet is behind. */
export function Behind({ behind }) {
  if (!behind) return html`<span class="quiet">–</span>`;
  if (behind.events === 0) return html`<span>${t("up to date")}</span>`;
  const events = count(behind.events, "{n} event behind", "{n} events behind");
  return html`<span class="warn-text">${events}, ${span(behind.milliseconds)}</span>`;
}
