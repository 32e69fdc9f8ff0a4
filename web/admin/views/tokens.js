// Tokens (docs/protocol.md#token-management) and open connections. A new token is shown once.

import { html, useState } from "../kit.js";
import { call, UNKEYED } from "../api.js";
import { clientName } from "../describe.js";
import { invalidate } from "../store.js";
import { Ago, Badge, Code, Confirm, Dialog, Empty, ErrorText, Icon, Loaded, Panel, SelectField, TextField, toast, useAction, useList } from "../ui.js";
import { count, fullTime, t } from "../words.js";
import { dialectName } from "./tablet.js";

const DAY = 86_400;

export function Tokens({ user }) {
  const tokens = useList("tokens", 30_000);
  const clients = useList("clients");
  const [dialog, openDialog] = useState();
  const [all, setAll] = useState(false);
  const now = Date.now();
  const isValid = (token) => !token.revokedAt && new Date(token.expiresAt) > now;
  const list = (tokens.value ?? []).filter((token) => all || isValid(token));
  return html`<${Panel} title=${t("Tokens")} of=${tokens}
      actions=${html`<label class="check inline"><input type="checkbox" checked=${all} onChange=${() => setAll(!all)} /><span>${t("ended ones too")}</span></label>
        <button type="button" class="primary small" onClick=${() => openDialog({ what: "new" })}><${Icon} name="add" size=${16} />${t("New token")}</button>`}>
    <${Loaded} of=${tokens}>
      ${list.length === 0 && html`<${Empty} icon="access" title=${t("There is no token")}><p>${t("Paired tablets have theirs by themselves. Make one for a program or another admin.")}</p></${Empty}>`}
      <ul class="rows">
        ${list.map(
          (token) => html`<li key=${token.jti} class="row">
            <div class="row-main"><strong>${token.name}</strong>
              <span class="quiet">${token.role === "client" ? clientName(token.subject) : token.subject}</span>
              <small class="quiet">${t("made")} <${Ago} at=${token.createdAt} /> · ${token.firstUsedAt ? t("used") : t("never used")} · ${token.revokedAt ? html`${t("revoked")} <${Ago} at=${token.revokedAt} />` : html`${t("until {time}", { time: fullTime(token.expiresAt) })}`}</small></div>
            <${Badge} tone=${isValid(token) ? (token.role === "admin" ? "accent" : "quiet") : "quiet"}>${isValid(token) ? roleName(token.role) : t("ended")}</${Badge}>
            ${isValid(token) && html`<div class="row-actions">${token.jti === user.jti && html`<small class="quiet">${t("yours")}</small>`}<button type="button" class="small danger quiet-danger" aria-label=${t("Revoke {name}", { name: token.name })} onClick=${() => openDialog({ what: "revoke", token })}>${t("Revoke…")}</button></div>`}
          </li>`,
        )}
      </ul>
    </${Loaded}>
    ${dialog?.what === "new" && html`<${NewToken} clients=${clients.value} onClose=${() => openDialog(undefined)} />`}
    ${dialog?.what === "revoke" &&
    html`<${Confirm} danger title=${t("Revoke {name}?", { name: dialog.token.name })} text=${t("It ends at once and everywhere, with every connection that it opened.")} again=${dialog.token.jti === user.jti ? t("This is the token that you are signed in with: you will be signed out.") : t("This cannot be taken back. Revoke {name}?", { name: dialog.token.name })}
      action=${t("Revoke {name}", { name: dialog.token.name })} onClose=${() => openDialog(undefined)}
      onConfirm=${async () => {
        await call("DELETE", `api/tokens/${encodeURIComponent(dialog.token.jti)}`);
        invalidate("tokens", "sessions", "clients");
        toast(t("{name} was revoked", { name: dialog.token.name }));
      }} />`}
  </${Panel}>`;
}

export function roleName(role) {
  return { admin: t("Admin"), client: t("Tablet"), user: t("Person"), pairing: t("Waiting tablet") }[role] ?? role;
}

function NewToken({ clients, onClose }) {
  const [form, set] = useState({ role: "admin", name: "", subject: "", days: "365", email: "", organizationId: "", tenantId: "" });
  const [made, setMade] = useState();
  const change = (key) => (value) => set({ ...form, [key]: value });
  const make = useAction(async () => {
    const text = (value) => value.trim() || undefined;
    const token = await call("POST", "api/tokens", {
      role: form.role, name: form.name.trim(), subject: text(form.subject), ttlSeconds: Number(form.days) * DAY,
      email: text(form.email), organizationId: text(form.organizationId), tenantId: text(form.tenantId),
    }, UNKEYED);
    invalidate("tokens", "clients");
    setMade(token);
  });
  const submit = (event) => {
    event.preventDefault();
    make.run();
  };
  if (made) {
    return html`<${Dialog} title=${t("The token of {name}", { name: made.name })} onClose=${onClose}>
      <p class="warning" role="alert">${t("Copy it now: it is shown this once, and kept nowhere. Whoever has it is {role}.", { role: roleName(made.role) })}</p>
      <${Code} text=${made.token} label=${t("Token")} />
      <div class="buttons"><button type="button" class="primary" onClick=${onClose}>${t("I have it")}</button></div>
    </${Dialog}>`;
  }
  const errorOf = (key) => (make.error?.field === key ? make.error.message : undefined);
  return html`<${Dialog} title=${t("A new token")} onClose=${onClose}>
    <form onSubmit=${submit}>
      <${SelectField} label=${t("For")} value=${form.role} onInput=${(role) => set({ ...form, role, subject: "" })}
        options=${[["admin", t("an admin or a program that may do everything")], ["client", t("a tablet")], ["user", t("a person: own messages and the status board")]]} />
      <${TextField} label=${t("Name")} required maxlength="100" value=${form.name} onInput=${change("name")} error=${errorOf("name")} placeholder=${t("What it is for")} />
      ${form.role === "client"
        ? html`<${SelectField} label=${t("Tablet")} value=${form.subject} onInput=${change("subject")} options=${[["", t("a new one of this name")], ...(clients ?? []).map((client) => [client.id, client.name])]} />`
        : html`<${TextField} label=${t("User id")} value=${form.subject} onInput=${change("subject")} error=${errorOf("subject")} hint=${t("Empty: Wallcast makes one.")} />`}
      <${SelectField} label=${t("Stands for")} value=${form.days} onInput=${change("days")} options=${[["1", t("1 day")], ["30", t("30 days")], ["365", t("1 year")], ["3650", t("10 years")]]} />
      <details class="more"><summary>${t("E-mail, organisation, tenant")}</summary>
        <${TextField} label=${t("E-mail")} type="email" value=${form.email} onInput=${change("email")} error=${errorOf("email")} />
        <${TextField} label=${t("Organisation")} value=${form.organizationId} onInput=${change("organizationId")} />
        <${TextField} label=${t("Tenant")} value=${form.tenantId} onInput=${change("tenantId")} />
      </details>
      ${!["name", "subject", "email"].includes(make.error?.field) && html`<${ErrorText} error=${make.error} />`}
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button><button class="primary" disabled=${make.busy || !form.name.trim()}>${t("Make it")}</button></div>
    </form>
  </${Dialog}>`;
}

export function Sessions() {
  const sessions = useList("sessions", 5000);
  useList("clients");
  const list = sessions.value ?? [];
  return html`<${Panel} title=${t("Connections that are open now")} of=${sessions}>
    <${Loaded} of=${sessions}>
      <p class="quiet">${count(list.length, "{n} connection", "{n} connections")}</p>
      <ul class="rows">
        ${list.map(
          (session) => html`<li key=${session.connectionId} class="row">
            <div class="row-main"><strong>${session.role === "client" ? clientName(session.clientId) : (session.userId ?? session.clientId)}</strong>
              <span class="quiet">${dialectName(session.dialect)}${session.namespace && session.namespace !== "/" ? ` ${session.namespace}` : ""} · ${session.address}</span>
              <small class="quiet">${t("since")} <${Ago} at=${session.connectedAt} /> · ${t("{sent} sent, {received} received", { sent: session.messagesSent, received: session.messagesReceived })}</small></div>
            <${Badge} tone=${session.role === "admin" ? "accent" : "quiet"}>${roleName(session.role)}</${Badge}>
          </li>`,
        )}
      </ul>
    </${Loaded}>
  </${Panel}>`;
}
