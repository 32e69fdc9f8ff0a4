// Lockers (docs/protocol.md#lockers): kiosk, state and commands.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { kioskName } from "../describe.js";
import { invalidate } from "../store.js";
import { Ago, Badge, Confirm, Dialog, Empty, ErrorText, Head, Icon, Loaded, TextField, toast, useAction, useList } from "../ui.js";
import { count, t } from "../words.js";
import { recipientText } from "./bulk.js";

const TONES = { open: "warn", opened: "warn", unlocked: "warn", occupied: "accent", locked: "good", closed: "good", free: "good", error: "bad", jammed: "bad" };
const COMMON_STATES = ["locked", "unlocked", "open", "closed", "free", "occupied"];

export function Lockers() {
  const lockers = useList("lockers");
  const clients = useList("clients");
  const [dialog, openDialog] = useState();
  const locker = lockers.value?.find((one) => one.id === dialog?.id);
  return html`<${Head} title=${t("Lockers")} lead=${t("A locker belongs to a kiosk, and the tablets of that kiosk hear of its state. Locks of Home Assistant appear here by themselves.")}>
      <button type="button" class="primary" onClick=${() => openDialog({ what: "edit" })}><${Icon} name="add" size=${18} />${t("Add a locker")}</button>
    </${Head}>
    <${Loaded} of=${lockers}>
      ${lockers.value?.length === 0
        ? html`<section class="panel"><${Empty} icon="locker" title=${t("There is no locker yet")}>
            <p>${t("Add one, and name the kiosk at which it stands.")}</p>
            <button type="button" class="primary" onClick=${() => openDialog({ what: "edit" })}>${t("Add a locker")}</button></${Empty}></section>`
        : html`<ul class="rows cards" aria-label=${t("Lockers")} data-stale=${lockers.isStale ? "yes" : null}>
            ${lockers.value?.map(
              (one) => html`<li key=${one.id} class="row">
                <div class="row-main"><strong class="mono">${one.id}</strong><span class="quiet">${t("at {kiosk}", { kiosk: kioskName(one.kioskId) })} · <${Ago} at=${one.updatedAt} /></span></div>
                <${Badge} tone=${TONES[one.state] ?? "quiet"}>${one.state}</${Badge}>
                <div class="row-actions">${one.id.startsWith("lock.")
                  ? html`<small class="quiet">Home Assistant</small>`
                  : html`<button type="button" class="small" aria-label=${t("Command for {name}", { name: one.id })} onClick=${() => openDialog({ what: "command", id: one.id })}>${t("Command…")}</button>
                      <button type="button" class="small" aria-label=${t("Change {name}", { name: one.id })} onClick=${() => openDialog({ what: "edit", id: one.id })}>${t("Change")}</button>
                      <button type="button" class="small danger quiet-danger" aria-label=${t("Delete {name}", { name: one.id })} onClick=${() => openDialog({ what: "delete", id: one.id })}>${t("Delete")}</button>`}</div>
              </li>`,
            )}
          </ul>`}
    </${Loaded}>
    ${dialog?.what === "edit" && html`<${Edit} locker=${locker} clients=${clients.value} onClose=${() => openDialog(undefined)} />`}
    ${dialog?.what === "command" && locker && html`<${Command} locker=${locker} clients=${clients.value} onClose=${() => openDialog(undefined)} />`}
    ${dialog?.what === "delete" && locker &&
    html`<${Confirm} danger title=${t("Delete {name}?", { name: locker.id })} text=${t("Wallcast forgets this locker. Nobody is told; the tablets of its kiosk do not see it from their next look on.")} again=${t("This cannot be taken back. Delete {name} for good?", { name: locker.id })}
      action=${t("Delete {name}", { name: locker.id })} onClose=${() => openDialog(undefined)}
      onConfirm=${async () => {
        await call("DELETE", `api/lockers/${encodeURIComponent(locker.id)}`);
        invalidate("lockers");
      }} />`}`;
}

function kiosks(clients) {
  return [...new Set((clients ?? []).map((client) => client.kioskId ?? client.id))];
}

function Edit({ locker, clients, onClose }) {
  const [form, set] = useState({ id: locker?.id ?? "", kioskId: locker?.kioskId ?? "", state: locker?.state ?? "locked" });
  const change = (key) => (value) => set({ ...form, [key]: value });
  const recipientCount = (clients ?? []).filter((client) => (client.kioskId ?? client.id) === form.kioskId).length;
  const save = useAction(async () => {
    const { id, kioskId, state } = form;
    if (locker) await call("PATCH", `api/lockers/${encodeURIComponent(locker.id)}`, { kioskId, state });
    else await call("POST", "api/lockers", { id: id.trim() || undefined, kioskId, state });
    invalidate("lockers");
    toast(t("Saved"));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    save.run();
  };
  const errorOf = (key) => (save.error?.field === key ? save.error.message : undefined);
  return html`<${Dialog} title=${locker ? locker.id : t("Add a locker")} onClose=${onClose}>
    <form onSubmit=${submit}>
      ${!locker && html`<${TextField} label=${t("Id")} value=${form.id} onInput=${change("id")} error=${errorOf("id")} hint=${t("What stands on it. Empty: Wallcast makes one.")} />`}
      <${TextField} label=${t("Kiosk id")} required list="kiosks" value=${form.kioskId} onInput=${change("kioskId")} error=${errorOf("kioskId")} />
      <datalist id="kiosks">${kiosks(clients).map((id) => html`<option value=${id}>${kioskName(id)}</option>`)}</datalist>
      <${TextField} label=${t("State")} required list="states" value=${form.state} onInput=${change("state")} error=${errorOf("state")} />
      <datalist id="states">${COMMON_STATES.map((state) => html`<option value=${state} />`)}</datalist>
      ${locker && form.state !== locker.state && html`<p class="effect" role="status">${t("Admins and the tablets of this kiosk that listen ({n}) will be told.", { n: recipientCount })}</p>`}
      ${!save.error?.field && html`<${ErrorText} error=${save.error} />`}
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${save.busy}>${locker ? t("Save") : t("Add")}</button></div>
    </form>
  </${Dialog}>`;
}

/** Sends a command for a locker to the tablets of its kiosk. */
function Command({ locker, clients, onClose }) {
  const [type, setType] = useState("open");
  const recipientCount = (clients ?? []).filter((client) => (client.kioskId ?? client.id) === locker.kioskId).length;
  const sendCommand = useAction(async () => {
    await call("POST", "api/commands", { kioskId: locker.kioskId, lockerId: locker.id, type: type.trim() });
    invalidate("commands");
    toast(count(recipientCount, "Given to {n} tablet", "Given to {n} tablets"));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    sendCommand.run();
  };
  return html`<${Dialog} title=${t("Command for {name}", { name: locker.id })} onClose=${onClose}>
    <form onSubmit=${submit}>
      <${TextField} label=${t("Type")} required maxlength="64" value=${type} onInput=${setType} hint=${t("Every tablet of this kiosk gets it, and says what became of it.")} />
      <p class="effect" role="status">${recipientText(recipientCount)}</p>
      <${ErrorText} error=${sendCommand.error} />
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${sendCommand.busy || !type.trim()}>${t("Give")}</button></div>
    </form>
  </${Dialog}>`;
}
