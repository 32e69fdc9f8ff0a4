// Assigns areas to several tablets at once.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { invalidate } from "../store.js";
import { CheckList, Dialog, ErrorText, SelectField, toast, useAction, useList } from "../ui.js";
import { count, t } from "../words.js";

export function areaItems(areas = []) {
  const nameCounts = new Map();
  for (const { name } of areas) nameCounts.set(name, (nameCounts.get(name) ?? 0) + 1);
  return areas.map((area) => {
    // Distinguish areas of the same name by their source.
    const from = nameCounts.get(area.name) > 1 && (area.source === "local" ? t("made here") : "Home Assistant");
    return { id: area.id, name: area.name, note: [from, !area.isEnabled && t("switched off")].filter(Boolean).join(" · ") };
  });
}

const MODES = {
  add: (has, chosen) => new Set([...has, ...chosen]),
  remove: (has, chosen) => new Set([...has].filter((id) => !chosen.has(id))),
  set: (_has, chosen) => chosen,
};

export function BulkAreas({ clients, onClose, onDone }) {
  const areas = useList("areas");
  const [chosen, setChosen] = useState(new Set());
  const [mode, setMode] = useState("add");
  const changes = clients
    .map((client) => {
      const has = new Set(client.assignedAreas.map((area) => area.id));
      const next = MODES[mode](has, chosen);
      const differs = next.size !== has.size || [...next].some((id) => !has.has(id));
      return differs && { client, areaIds: [...next] };
    })
    .filter(Boolean);
  const apply = useAction(async () => {
    for (const { client, areaIds } of changes) {
      await call("PUT", `api/clients/${encodeURIComponent(client.id)}/areas`, { areaIds });
    }
    invalidate("clients", "areas");
    toast(count(changes.length, "{n} tablet was changed and told", "{n} tablets were changed and told"));
    onDone();
    onClose();
  });
  return html`<${Dialog} title=${count(clients.length, "Areas of {n} tablet", "Areas of {n} tablets")} onClose=${onClose}>
    <p class="quiet">${clients.map((client) => client.name).join(", ")}</p>
    <${SelectField} label=${t("What to do")} value=${mode} onInput=${setMode}
      options=${[["add", t("Give these areas as well")], ["remove", t("Take these areas away")], ["set", t("Give exactly these areas")]]} />
    <${CheckList} label=${t("Areas")} items=${areaItems(areas.value)} chosen=${chosen} onChange=${setChosen} empty=${t("There is no area yet.")} />
    <p class="effect" role="status">${recipientText(changes.length)}</p>
    <${ErrorText} error=${apply.error} />
    <div class="buttons">
      <button type="button" onClick=${onClose}>${t("Cancel")}</button>
      <button type="button" class="primary" disabled=${apply.busy || changes.length === 0} onClick=${() => apply.run()}>${t("Apply")}</button>
    </div>
  </${Dialog}>`;
}

/** How many tablets a change will notify, shown before it is saved. */
export function recipientText(tablets) {
  return tablets === 0 ? t("No tablet will be told.") : count(tablets, "{n} tablet will be told.", "{n} tablets will be told.");
}
