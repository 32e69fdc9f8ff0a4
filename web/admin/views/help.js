// Help requests (docs/protocol.md#help-requests) and their status.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { humanize, kioskName } from "../describe.js";
import { invalidate } from "../store.js";
import { Ago, Badge, Dialog, Empty, ErrorText, Head, Icon, Loaded, TextField, toast, useAction, useList } from "../ui.js";
import { helpStatus } from "../statuses.js";
import { t } from "../words.js";

const TONES = { open: "bad", acknowledged: "warn", resolved: "good" };

export function Help() {
  const help = useList("help");
  useList("clients");
  const [shown, setShown] = useState("waiting");
  const [isCreating, setCreating] = useState(false);
  const list = (help.value ?? []).filter((request) => shown === "all" || request.status !== "resolved");
  return html`<${Head} title=${t("Help requests")} lead=${t("Sent by the help button of a tablet. Take them on so that others know, and say when they are done.")}>
      <button type="button" onClick=${() => setCreating(true)}><${Icon} name="add" size=${18} />${t("Note a request")}</button>
    </${Head}>
    <div class="toolbar"><select aria-label=${t("Show")} value=${shown} onInput=${(e) => setShown(e.target.value)}>
      <option value="waiting">${t("What is not resolved")}</option><option value="all">${t("All")}</option></select></div>
    <${Loaded} of=${help}>
      ${list.length === 0
        ? html`<section class="panel"><${Empty} icon="check" title=${t("Nobody needs help at the moment")}>
            <p>${t("When somebody presses the help button on a tablet, it appears here at once.")}</p></${Empty}></section>`
        : html`<ul class="rows cards" aria-label=${t("Help requests")} data-stale=${help.isStale ? "yes" : null}>
            ${list.map((request) => html`<${Row} key=${request.id} request=${request} />`)}
          </ul>`}
    </${Loaded}>
    ${isCreating && html`<${RequestDialog} onClose=${() => setCreating(false)} />`}`;
}

function Row({ request }) {
  const setStatus = useAction(async (status) => {
    await call("PATCH", `api/help/${request.id}`, { status });
    invalidate("help");
    toast(t("Request {id}: {status}", { id: request.id, status: helpStatus(status) }));
  });
  const where = [kioskName(request.kiosk_id), request.locker_no != null && t("locker {n}", { n: request.locker_no })].filter(Boolean);
  return html`<li class="row">
    <div class="row-main"><strong>${humanize(request.category)}</strong>
      ${request.note && html`<span>${request.note}</span>`}
      <small class="quiet">${where.join(" · ")} · <${Ago} at=${request.created_at} />
      ${request.photo_url && html` · <a href=${request.photo_url} target="_blank" rel="noopener noreferrer">${t("photo")}</a>`}</small>
      <${ErrorText} error=${setStatus.error} /></div>
    <${Badge} tone=${TONES[request.status]}>${helpStatus(request.status)}</${Badge}>
    <div class="row-actions">
      ${request.status === "open" && html`<button type="button" class="small" disabled=${setStatus.busy} onClick=${() => setStatus.run("acknowledged")}>${t("Take it on")}</button>`}
      ${request.status !== "resolved"
        ? html`<button type="button" class="small primary" disabled=${setStatus.busy} onClick=${() => setStatus.run("resolved")}>${t("Resolved")}</button>`
        : html`<button type="button" class="small" disabled=${setStatus.busy} onClick=${() => setStatus.run("open")}>${t("Open again")}</button>`}
    </div>
  </li>`;
}

function RequestDialog({ onClose }) {
  const [form, set] = useState({ kioskId: "", category: "", note: "", locker_no: "", photo_url: "" });
  const change = (key) => (value) => set({ ...form, [key]: value });
  const create = useAction(async () => {
    await call("POST", "api/help", {
      kioskId: form.kioskId.trim(),
      category: form.category.trim(),
      note: form.note.trim() || undefined,
      photo_url: form.photo_url.trim() || undefined,
      locker_no: form.locker_no === "" ? undefined : Number(form.locker_no),
    });
    invalidate("help");
    toast(t("The request was noted"));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    create.run();
  };
  const errorOf = (key) => (create.error?.field === key ? create.error.message : undefined);
  return html`<${Dialog} title=${t("Note a request")} onClose=${onClose}>
    <form onSubmit=${submit}>
      <${TextField} label=${t("Kiosk id")} required value=${form.kioskId} onInput=${change("kioskId")} error=${errorOf("kioskId")} hint=${t("Where help is needed.")} />
      <${TextField} label=${t("What kind of help")} required maxlength="64" value=${form.category} onInput=${change("category")} error=${errorOf("category")} placeholder="access_issue" />
      <${TextField} label=${t("Note")} multiline rows="3" maxlength="1000" value=${form.note} onInput=${change("note")} error=${errorOf("note")} />
      <${TextField} label=${t("Locker number")} type="number" value=${form.locker_no} onInput=${change("locker_no")} error=${errorOf("lockerNo")} />
      <${TextField} label=${t("Address of a photo")} type="url" value=${form.photo_url} onInput=${change("photo_url")} error=${errorOf("photoUrl")} />
      ${!create.error?.field && html`<${ErrorText} error=${create.error} />`}
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${create.busy}>${t("Note it")}</button></div>
    </form>
  </${Dialog}>`;
}
