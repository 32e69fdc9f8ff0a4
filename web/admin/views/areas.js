// Areas, from Home Assistant or created here, and the tablets they are assigned to.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { clientName } from "../describe.js";
import { invalidate } from "../store.js";
import { CheckList, Confirm, Dialog, Empty, ErrorText, Head, Icon, Loaded, Switch, TextField, toast, useAction, useList } from "../ui.js";
import { count, t } from "../words.js";
import { recipientText } from "./bulk.js";

const path = (area) => `api/areas/${encodeURIComponent(area.id)}`;

export function Areas() {
  const areas = useList("areas");
  useList("clients");
  const [filter, setFilter] = useState("");
  const [dialog, openDialog] = useState();
  const close = () => openDialog(undefined);
  const list = (areas.value ?? []).filter((area) => area.name.toLowerCase().includes(filter.toLowerCase()));
  const area = dialog && (areas.value ?? []).find((one) => one.id === dialog.id);
  return html`<${Head} title=${t("Areas")} lead=${t("What a tablet shows. A tablet sees the areas that you give it, and nothing else.")}>
      <button type="button" class="primary" onClick=${() => openDialog({ what: "edit" })}><${Icon} name="add" size=${18} />${t("Create an area")}</button>
    </${Head}>
    <${Loaded} of=${areas}>
      ${areas.value?.length === 0
        ? html`<section class="panel"><${Empty} icon="area" title=${t("There is no area yet")}>
            <p>${t("Areas come from Home Assistant by themselves once it is connected. You can also make your own.")}</p>
            <button type="button" class="primary" onClick=${() => openDialog({ what: "edit" })}>${t("Create an area")}</button>
          </${Empty}></section>`
        : html`${areas.value?.length > 8 &&
            html`<div class="toolbar"><input type="search" aria-label=${t("Search areas")} placeholder=${t("Search areas")} value=${filter} onInput=${(e) => setFilter(e.target.value)} /></div>`}
            <ul class="rows cards" aria-label=${t("Areas")} data-stale=${areas.isStale ? "yes" : null}>
              ${list.map((one) => html`<${Row} key=${one.id} area=${one} onAsk=${(what) => openDialog({ what, id: one.id })} />`)}
            </ul>
            ${list.length === 0 && html`<p class="quiet-line">${t("No area fits this search.")}</p>`}`}
    </${Loaded}>
    ${dialog?.what === "edit" && html`<${Edit} area=${area} onClose=${close} />`}
    ${dialog?.what === "assign" && area && html`<${Assign} area=${area} onClose=${close} />`}
    ${dialog?.what === "toggle" && area && html`<${Toggle} area=${area} onClose=${close} />`}
    ${dialog?.what === "delete" && area && html`<${Delete} area=${area} onClose=${close} />`}`;
}

function Row({ area, onAsk }) {
  const isLocal = area.source === "local";
  return html`<li class="row area-row">
    <${Switch} label=${t("{name} is switched on", { name: area.name })} on=${area.isEnabled} onChange=${() => onAsk("toggle")} />
    <div class="row-main">
      <strong>${area.name}</strong>
      <span class="quiet">${isLocal ? t("made here") : "Home Assistant"} · ${count(area.entityIds.length, "{n} entity", "{n} entities")}</span>
    </div>
    <button type="button" class="who" onClick=${() => onAsk("assign")}>
      <span class="for-readers">${t("Who has {name}:", { name: area.name })}</span>
      ${area.clientIds.length === 0
        ? html`<span class="quiet">${t("no tablet")}</span>`
        : html`${area.clientIds.slice(0, 2).map((id) => html`<span key=${id} class="chip">${clientName(id)}</span>`)}
            ${area.clientIds.length > 2 && html`<span class="quiet">${t("and {n} more", { n: area.clientIds.length - 2 })}</span>`}`}
    </button>
    <div class="row-actions">
      <button type="button" class="small" onClick=${() => onAsk("edit")}>${isLocal ? t("Edit") : t("Look")}</button>
      ${isLocal && html`<button type="button" class="small quiet-danger danger" onClick=${() => onAsk("delete")}>${t("Delete")}</button>`}
    </div>
  </li>`;
}

function Edit({ area, onClose }) {
  const isMirrored = area && area.source !== "local";
  const [name, setName] = useState(area?.name ?? "");
  const [text, setText] = useState((area?.entityIds ?? []).join("\n"));
  const entityIds = text.split(/[\s,]+/).filter(Boolean);
  const differs = !area || name.trim() !== area.name || entityIds.join() !== area.entityIds.join();
  const save = useAction(async () => {
    const body = { name: name.trim(), entityIds };
    await (area ? call("PATCH", path(area), body) : call("POST", "api/areas", body));
    invalidate("areas", "clients");
    toast(area ? t("{name} was changed", { name: body.name }) : t("{name} was made; now give it to a tablet", { name: body.name }));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    save.run();
  };
  const title = !area ? t("Create an area") : area.name;
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${isMirrored
      ? html`<p class="quiet">${t("Home Assistant owns the name and the entities of this area: change them there, and they change here.")}</p>
          <ul class="entity-list">${area.entityIds.map((id) => html`<li key=${id} class="mono">${id}</li>`)}</ul>
          ${area.entityIds.length === 0 && html`<p class="quiet">${t("It has no entities yet.")}</p>`}
          <div class="buttons"><button type="button" onClick=${onClose}>${t("Close")}</button></div>`
      : html`<form onSubmit=${submit}>
          <${TextField} label=${t("Name")} value=${name} onInput=${setName} maxlength="100" required error=${save.error?.field === "name" ? save.error.message : undefined} />
          <${TextField} label=${t("Entities")} multiline rows="7" class="mono" spellcheck="false" value=${text} onInput=${setText}
            hint=${t("One a line, as Home Assistant names them: light.kitchen")} error=${save.error?.field === "entityIds" ? save.error.message : undefined} />
          <p class="effect" role="status">${area ? recipientText(differs && area.isEnabled ? area.clientIds.length : 0) : t("No tablet is told until you give the area to one.")}</p>
          ${!save.error?.field && html`<${ErrorText} error=${save.error} />`}
          <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button>
            <button class="primary" disabled=${save.busy || !name.trim() || !differs}>${area ? t("Save") : t("Create")}</button></div>
        </form>`}
  </${Dialog}>`;
}

function Assign({ area, onClose }) {
  const clients = useList("clients");
  const has = new Set(area.clientIds);
  const [chosen, setChosen] = useState(has);
  const added = [...chosen].filter((id) => !has.has(id));
  const removed = [...has].filter((id) => !chosen.has(id));
  const save = useAction(async () => {
    const of = (id) => `api/clients/${encodeURIComponent(id)}/areas/${encodeURIComponent(area.id)}`;
    for (const id of added) await call("POST", of(id));
    for (const id of removed) await call("DELETE", of(id));
    invalidate("areas", "clients");
    toast(count(added.length + removed.length, "{n} tablet was told", "{n} tablets were told"));
    onClose();
  });
  const items = (clients.value ?? []).map((client) => ({ id: client.id, name: client.name, note: client.isOnline ? t("online") : undefined }));
  return html`<${Dialog} title=${t("Who has {name}?", { name: area.name })} onClose=${onClose}>
    <${Loaded} of=${clients}>
      <${CheckList} label=${t("Tablets")} items=${items} chosen=${chosen} onChange=${setChosen} empty=${t("There is no tablet yet. Add one first.")} />
      <p class="effect" role="status">${recipientText(added.length + removed.length)}</p>
      <${ErrorText} error=${save.error} />
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button>
        <button type="button" class="primary" disabled=${save.busy || added.length + removed.length === 0} onClick=${() => save.run()}>${t("Save")}</button></div>
    </${Loaded}>
  </${Dialog}>`;
}

function Toggle({ area, onClose }) {
  const n = area.clientIds.length;
  const name = area.name;
  const notice = recipientText(n);
  return html`<${Confirm}
    title=${area.isEnabled ? t("Switch {name} off?", { name }) : t("Switch {name} on?", { name })}
    text=${`${area.isEnabled ? t("Tablets that have it neither see nor control its entities until it is on again.") : t("Tablets that have it see and control its entities again.")} ${notice}`}
    action=${area.isEnabled ? t("Switch off") : t("Switch on")}
    onConfirm=${async () => {
      await call("PATCH", `${path(area)}/toggle`, { isEnabled: !area.isEnabled });
      invalidate("areas", "clients");
      toast(area.isEnabled ? t("{name} is off", { name }) : t("{name} is on", { name }));
    }}
    onClose=${onClose} />`;
}

function Delete({ area, onClose }) {
  const name = area.name;
  return html`<${Confirm} danger title=${t("Delete {name}?", { name })}
    text=${`${t("The area is taken from every tablet that has it. Its entities stay in Home Assistant.")} ${recipientText(area.clientIds.length)}`}
    again=${t("This cannot be taken back. Delete {name} for good?", { name })} action=${t("Delete {name}", { name })}
    onConfirm=${async () => {
      await call("DELETE", path(area));
      invalidate("areas", "clients");
      toast(t("{name} was deleted", { name }));
    }}
    onClose=${onClose} />`;
}
