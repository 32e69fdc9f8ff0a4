// The status board (docs/protocol.md#status-board): services, incidents and their updates.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { invalidate } from "../store.js";
import { Ago, Badge, CheckList, Confirm, Dialog, Empty, ErrorText, Head, Icon, Loaded, Panel, SelectField, TextField, toast, useAction, useList } from "../ui.js";
import { statusWord } from "../statuses.js";
import { t } from "../words.js";

const SERVICE_TONES = { operational: "good", degraded: "warn", partial_outage: "warn", major_outage: "bad", maintenance: "accent" };
const INCIDENT_TONES = { investigating: "bad", identified: "warn", monitoring: "accent", resolved: "good" };
const SEVERITIES = () => [["minor", t("minor")], ["major", t("major")], ["critical", t("critical")]];

export const serviceTone = (status) => SERVICE_TONES[status] ?? "quiet";

/** Services that Wallcast maintains itself. */
const BUILT_IN = ["database", "homeassistant"];

export function Board() {
  const board = useList("board");
  const services = useList("services");
  const incidents = useList("incidents");
  const [dialog, openDialog] = useState();
  const [all, setAll] = useState(false);
  const close = () => openDialog(undefined);
  const service = services.value?.find((one) => one.id === dialog?.id);
  const incident = incidents.value?.find((one) => one.id === dialog?.id);
  const shown = (incidents.value ?? []).filter((one) => all || one.status !== "resolved").reverse();
  return html`<${Head} title=${t("Status board")} lead=${t("What works and what does not, for tablets and people. With an organisation or tenant it is told to those alone.")}>
      <button type="button" onClick=${() => openDialog({ what: "service" })}><${Icon} name="add" size=${18} />${t("Service")}</button>
      <button type="button" class="primary" onClick=${() => openDialog({ what: "incident" })}><${Icon} name="add" size=${18} />${t("Incident")}</button>
    </${Head}>
    <${SeenBy} lists=${[services.value, incidents.value]} />
    ${board.value && html`<p class=${`overall ${serviceTone(board.value.status)}`} role="status" data-stale=${board.isStale ? "yes" : null}><i class="dot"></i>${overall(board.value.status)}</p>`}
    <div class="columns even">
      <${Panel} title=${t("Services")} of=${services}><${Loaded} of=${services}>
        <ul class="rows">
          ${services.value?.map(
            (one) => html`<li key=${one.id} class="row">
              <div class="row-main"><strong>${one.name}</strong><span class="quiet">${one.description}</span><small class="quiet"><${Audience} of=${one} /></small></div>
              <${Badge} tone=${serviceTone(one.status)}>${statusWord(one.status)}</${Badge}>
              <div class="row-actions">${BUILT_IN.includes(one.id)
                ? html`<small class="quiet">${t("kept by Wallcast")}</small>`
                : html`<button type="button" class="small" aria-label=${t("Change {name}", { name: one.name })} onClick=${() => openDialog({ what: "service", id: one.id })}>${t("Change")}</button>`}</div>
            </li>`,
          )}
        </ul>
      </${Loaded}></${Panel}>
      <${Panel} title=${t("Incidents")} of=${incidents} actions=${html`<label class="check inline"><input type="checkbox" checked=${all} onChange=${() => setAll(!all)} /><span>${t("resolved ones too")}</span></label>`}>
        <${Loaded} of=${incidents}>
          ${shown.length === 0 && html`<${Empty} icon="check" title=${t("No incident is open")}><p>${t("Open one when something does not work: tablets and people see at once that you know of it.")}</p></${Empty}>`}
          <ul class="rows">
            ${shown.map((one) => html`<${Incident} key=${one.id} incident=${one} services=${services.value} onChange=${() => openDialog({ what: "incident", id: one.id })} onUpdate=${() => openDialog({ what: "update", id: one.id })} />`)}
          </ul>
        </${Loaded}>
      </${Panel}>
    </div>
    ${dialog?.what === "service" && html`<${ServiceForm} service=${service} onClose=${close} />`}
    ${dialog?.what === "incident" && html`<${IncidentForm} incident=${incident} services=${services.value ?? []} onClose=${close} />`}
    ${dialog?.what === "update" && incident && html`<${UpdateForm} incident=${incident} onClose=${close} />`}`;
}

function severityWord(severity) {
  return SEVERITIES().find(([key]) => key === severity)?.[1] ?? severity;
}

/** The board as seen by one organisation or tenant. */
function SeenBy({ lists }) {
  const [chosen, choose] = useState("");
  const [board, setBoard] = useState();
  const load = useAction(async (query) => setBoard(query && (await call("GET", `api/status?${query}`))));
  const audiences = new Map();
  for (const { organizationId, tenantId } of lists.flatMap((list) => list ?? [])) {
    const query = new URLSearchParams({ ...(organizationId && { organizationId }), ...(tenantId && { tenantId }) }).toString();
    if (query) audiences.set(query, [organizationId, tenantId].filter(Boolean).join(" / "));
  }
  if (audiences.size === 0) return null;
  const show = (query) => {
    choose(query);
    load.run(query);
  };
  return html`<div class="toolbar">
      <select aria-label=${t("Seen by")} value=${chosen} onInput=${(e) => show(e.target.value)}>
        <option value="">${t("The whole board")}</option>
        ${[...audiences].map(([query, name]) => html`<option value=${query}>${t("As {name} sees it", { name })}</option>`)}
      </select>
    </div>
    <${ErrorText} error=${load.error} />
    ${chosen && board &&
    html`<section class="panel seen-by" aria-label=${audiences.get(chosen)}>
      <p><strong>${overall(board.status)}</strong></p>
      <p>${board.services.map((service) => html`<${Badge} key=${service.id} tone=${serviceTone(service.status)}>${service.name}: ${statusWord(service.status)}</${Badge}> `)}</p>
      ${board.incidents.map((incident) => html`<p key=${incident.id}>${incident.title} · ${statusWord(incident.status)}</p>`)}
    </section>`}`;
}

function overall(status) {
  return status === "operational" ? t("Everything works") : t("The worst service: {status}", { status: statusWord(status) });
}

function Audience({ of }) {
  const names = [of.organizationId, of.tenantId].filter(Boolean);
  return names.length ? t("only for {names}", { names: names.join(" / ") }) : t("for everyone");
}

function Incident({ incident, services, onChange, onUpdate }) {
  const names = incident.serviceIds.map((id) => services?.find((service) => service.id === id)?.name ?? id);
  return html`<li class="row incident">
    <div class="row-main">
      <div class="title-line"><strong>${incident.title}</strong><${Badge} tone=${INCIDENT_TONES[incident.status]}>${statusWord(incident.status)}</${Badge}></div>
      ${incident.description && html`<span>${incident.description}</span>`}
      <small class="quiet">${[severityWord(incident.severity), ...names].join(" · ")} · <${Ago} at=${incident.createdAt} /> · <${Audience} of=${incident} /></small>
      ${incident.updates.length > 0 &&
      html`<ol class="updates">${[...incident.updates].reverse().map(
        (update) => html`<li key=${update.id ?? update.createdAt}><span>${update.message}</span> <small class="quiet">${update.status ? `${statusWord(update.status)} · ` : ""}<${Ago} at=${update.createdAt ?? update.timestamp} /></small></li>`,
      )}</ol>`}
    </div>
    <div class="row-actions">
      <button type="button" class="small" aria-label=${t("Change {name}", { name: incident.title })} onClick=${onChange}>${t("Change")}</button>
      <button type="button" class="small primary" onClick=${onUpdate}>${t("Tell news")}</button>
    </div>
  </li>`;
}

/** Dialog shared by the service and incident forms: fields, audience, save and delete. */
function Form({ title, thing, path, body, name, children, audience, setAudience, lists, onClose }) {
  const [isDeleting, setDeleting] = useState(false);
  const save = useAction(async () => {
    const whole = { ...body(), organizationId: audience.organizationId.trim() || null, tenantId: audience.tenantId.trim() || null };
    await (thing ? call("PATCH", `${path}/${encodeURIComponent(thing.id)}`, whole) : call("POST", path, whole));
    invalidate(...lists);
    toast(t("Saved and told"));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    save.run();
  };
  if (isDeleting) {
    return html`<${Confirm} danger title=${t("Delete {name}?", { name })} text=${t("It is taken off the board, and whoever sees the board is told.")} again=${t("This cannot be taken back. Delete {name} for good?", { name })}
      action=${t("Delete {name}", { name })} onClose=${onClose}
      onConfirm=${async () => {
        await call("DELETE", `${path}/${encodeURIComponent(thing.id)}`);
        invalidate(...lists);
        toast(t("{name} was deleted", { name }));
      }} />`;
  }
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      ${children(save.error)}
      <details class="more" open=${Boolean(audience.organizationId || audience.tenantId)}><summary>${t("For whom")}</summary>
        <${TextField} label=${t("Organisation")} value=${audience.organizationId} onInput=${(organizationId) => setAudience({ ...audience, organizationId })} hint=${t("Empty: for everyone.")} />
        <${TextField} label=${t("Tenant")} value=${audience.tenantId} onInput=${(tenantId) => setAudience({ ...audience, tenantId })} />
      </details>
      <${ErrorText} error=${save.error} />
      <div class="buttons">
        ${thing && html`<button type="button" class="danger quiet-danger apart" onClick=${() => setDeleting(true)}>${t("Delete…")}</button>`}
        <button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${save.busy}>${thing ? t("Save") : t("Create")}</button>
      </div>
    </form>
  </${Dialog}>`;
}

const audienceOf = (thing) => ({ organizationId: thing?.organizationId ?? "", tenantId: thing?.tenantId ?? "" });
const choices = (map) => Object.keys(map).map((status) => [status, statusWord(status)]);

function ServiceForm({ service, onClose }) {
  const [form, set] = useState({ name: service?.name ?? "", description: service?.description ?? "", status: service?.status ?? "operational" });
  const [audience, setAudience] = useState(audienceOf(service));
  const change = (key) => (value) => set({ ...form, [key]: value });
  return html`<${Form} title=${service ? service.name : t("A new service")} thing=${service} path="api/services" name=${service?.name} audience=${audience} setAudience=${setAudience}
    lists=${["services", "board"]} onClose=${onClose} body=${() => form}>
    ${() => html`<${TextField} label=${t("Name")} required value=${form.name} onInput=${change("name")} />
      <${SelectField} label=${t("How it is")} value=${form.status} onInput=${change("status")} options=${choices(SERVICE_TONES)} />
      <${TextField} label=${t("Description")} multiline rows="2" value=${form.description} onInput=${change("description")} />`}
  </${Form}>`;
}

function IncidentForm({ incident, services, onClose }) {
  const [form, set] = useState({
    title: incident?.title ?? "",
    description: incident?.description ?? "",
    status: incident?.status ?? "investigating",
    severity: incident?.severity ?? "minor",
  });
  const [chosen, setChosen] = useState(new Set(incident?.serviceIds));
  const [audience, setAudience] = useState(audienceOf(incident));
  const change = (key) => (value) => set({ ...form, [key]: value });
  const severities = SEVERITIES();
  if (!severities.some(([key]) => key === form.severity)) severities.push([form.severity, form.severity]);
  return html`<${Form} title=${incident ? incident.title : t("A new incident")} thing=${incident} path="api/incidents" name=${incident?.title} audience=${audience} setAudience=${setAudience}
    lists=${["incidents", "board"]} onClose=${onClose} body=${() => ({ ...form, serviceIds: [...chosen] })}>
    ${() => html`<${TextField} label=${t("Title")} required value=${form.title} onInput=${change("title")} />
      <${TextField} label=${t("Description")} multiline rows="3" value=${form.description} onInput=${change("description")} />
      <div class="field-row">
        <${SelectField} label=${t("How far it is")} value=${form.status} onInput=${change("status")} options=${choices(INCIDENT_TONES)} />
        <${SelectField} label=${t("Severity")} value=${form.severity} onInput=${change("severity")} options=${severities} />
      </div>
      <${CheckList} label=${t("Services concerned")} items=${services} chosen=${chosen} onChange=${setChosen} empty=${t("There is no service yet.")} />`}
  </${Form}>`;
}

function UpdateForm({ incident, onClose }) {
  const [message, setMessage] = useState("");
  const [status, setStatus] = useState(incident.status);
  const post = useAction(async () => {
    await call("POST", `api/incidents/${encodeURIComponent(incident.id)}/updates`, { message, status });
    invalidate("incidents", "board");
    toast(t("The news were told"));
    onClose();
  });
  const submit = (event) => {
    event.preventDefault();
    post.run();
  };
  return html`<${Dialog} title=${t("News of {name}", { name: incident.title })} onClose=${onClose}>
    <form onSubmit=${submit}>
      <${TextField} label=${t("What is known now")} multiline rows="3" required value=${message} onInput=${setMessage} />
      <${SelectField} label=${t("How far it is")} value=${status} onInput=${setStatus} options=${choices(INCIDENT_TONES)} />
      <${ErrorText} error=${post.error} />
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${post.busy || !message.trim()}>${t("Tell")}</button></div>
    </form>
  </${Dialog}>`;
}
