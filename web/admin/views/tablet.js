// One tablet: status, areas, messages, commands and access.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { isPaired, invalidate } from "../store.js";
import {
  Ago, AsOf, CheckList, Confirm, Empty, ErrorText, Head, Icon, Loaded, Panel, Presence, TextField, toast, useAction, useList,
} from "../ui.js";
import { fullTime, t } from "../words.js";
import { areaItems, recipientText } from "./bulk.js";
import { Commands } from "./commands.js";
import { TabletView } from "./tablet-view.js";
import { Behind } from "./tablets.js";

export function Tablet({ arg: id, rest }) {
  const clients = useList("clients", 30_000);
  const client = clients.value?.find((one) => one.id === id);
  const back = html`<a class="back" href="#tablets"><${Icon} name="back" size=${16} />${t("Tablets")}</a>`;
  if (clients.value && !client) {
    return html`${back}<${Head} title=${t("This tablet is not here any more")} />
      <section class="panel"><${Empty} icon="tablet" title=${t("It was removed, or it never was.")}>
        <a class="button" href="#tablets">${t("All tablets")}</a></${Empty}></section>`;
  }
  return html`${back}<${Loaded} of=${clients}>
    ${client &&
    html`<${Head} title=${client.name}><${Presence} client=${client} stale=${clients.isStale} /></${Head}>
      ${!client.isActive && html`<p class="warning">${t("This tablet is deactivated: its token is refused until it is activated again.")}</p>`}
      ${client.isActive && isPaired(client) === false && html`<p class="warning">${t("No token of this tablet stands: it was revoked or has expired. Pair it again as an old tablet, or delete it.")} <a href="#pair">${t("Add a tablet")}</a></p>`}
      <div class="columns wide-left">
        <div class="stack">
          <${Assigned} key=${client.assignedAreas.map((area) => area.id).join()} client=${client} />
          <${SendMessage} client=${client} />
          <${Commands} client=${client} />
          <${TabletView} client=${client} isOpen=${rest[0] === "view"} />
        </div>
        <div class="stack">
          <${Facts} client=${client} of=${clients} />
          <${Details} key=${JSON.stringify([client.name, client.organizationId, client.tenantId, client.kioskId])} client=${client} />
          <${AccessPanel} client=${client} />
        </div>
      </div>`}
  </${Loaded}>`;
}

export function clientPath(client) {
  return `api/clients/${encodeURIComponent(client.id)}`;
}

function Facts({ client, of }) {
  const positions = useList("positions", 3000);
  const sessions = useList("sessions", 10_000);
  const position = positions.value?.find((one) => one.clientId === client.id);
  const own = sessions.value?.filter((session) => session.clientId === client.id) ?? [];
  return html`<${Panel} title=${t("How it is")} of=${of}>
    <dl class="facts">
      <dt>${t("Last seen")}</dt><dd><${Ago} at=${client.lastSeenAt} /></dd>
      <dt>${t("Position")}</dt><dd data-stale=${positions.isStale ? "yes" : null}><${Behind} behind=${position?.behind} /> <${AsOf} of=${positions} /></dd>
      <dt>${t("Platform")}</dt><dd>${client.platform ?? t("unknown")}</dd>
      <dt>${t("Connections")}</dt>
      <dd data-stale=${sessions.isStale ? "yes" : null}>${own.length === 0
        ? t("none")
        : own.map((session) => html`<div key=${session.connectionId}>${dialectName(session.dialect)} <span class="quiet">${session.address}</span></div>`)}</dd>
      <dt>${t("Paired")}</dt><dd>${fullTime(client.createdAt)}</dd>
      <dt>${t("Id")}</dt><dd class="mono">${client.id}</dd>
    </dl>
  </${Panel}>`;
}

export function dialectName(dialect) {
  return { websocket: "JSON WebSocket", sse: "Server-sent events", "socket.io": "Socket.IO" }[dialect] ?? dialect;
}

function Assigned({ client }) {
  const areas = useList("areas");
  const has = new Set(client.assignedAreas.map((area) => area.id));
  const [chosen, setChosen] = useState(has);
  const differs = chosen.size !== has.size || [...chosen].some((id) => !has.has(id));
  const save = useAction(async () => {
    await call("PUT", `${clientPath(client)}/areas`, { areaIds: [...chosen] });
    invalidate("clients", "areas");
    toast(t("{name} has its areas", { name: client.name }));
  });
  return html`<${Panel} title=${t("Areas")} of=${areas}>
    <${Loaded} of=${areas}>
      ${areas.value?.length === 0
        ? html`<${Empty} title=${t("There is no area yet")}><a href="#areas">${t("Create an area")}</a></${Empty}>`
        : html`<${CheckList} label=${t("Shown on this tablet")} items=${areaItems(areas.value)} chosen=${chosen} onChange=${setChosen} />`}
      ${differs &&
      html`<div class="buttons start">
        <button type="button" class="primary" disabled=${save.busy} onClick=${() => save.run()}>${t("Save areas")}</button>
        <button type="button" onClick=${() => setChosen(has)}>${t("Discard")}</button>
        <span class="effect" role="status">${recipientText(1)}</span>
      </div>`}
      <${ErrorText} error=${save.error} />
    </${Loaded}>
  </${Panel}>`;
}

function SendMessage({ client }) {
  const [body, setBody] = useState("");
  const send = useAction(async () => {
    await call("POST", "api/messages", { to: { clientId: client.id }, body });
    setBody("");
    invalidate("conversations");
    toast(client.isOnline ? t("Sent to {name}", { name: client.name }) : t("{name} gets it as soon as it is back", { name: client.name }));
  });
  const submit = (event) => {
    event.preventDefault();
    send.run();
  };
  return html`<${Panel} title=${t("Message")} actions=${html`<a class="small-link" href="#messages">${t("All messages")}</a>`}>
    <form class="inline-form" onSubmit=${submit}>
      <${TextField} label=${t("Text")} hint=${t("Shown full screen until somebody presses “Got it”")} value=${body} onInput=${setBody} maxlength="4000" required error=${send.error?.message} />
      <button class="primary" disabled=${send.busy || !body.trim()}><${Icon} name="send" size=${18} />${t("Send")}</button>
    </form>
  </${Panel}>`;
}

function Details({ client }) {
  const [form, set] = useState({
    name: client.name,
    organizationId: client.organizationId ?? "",
    tenantId: client.tenantId ?? "",
    kioskId: client.kioskId ?? "",
  });
  const change = (key) => (value) => set({ ...form, [key]: value });
  const differs = Object.entries(form).some(([key, value]) => value.trim() !== (client[key] ?? ""));
  const save = useAction(async () => {
    await call("PATCH", clientPath(client), {
      name: form.name.trim(),
      organizationId: form.organizationId.trim() || null,
      tenantId: form.tenantId.trim() || null,
      kioskId: form.kioskId.trim() || null,
    });
    invalidate("clients");
    toast(t("Saved"));
  });
  const errorOf = (key) => (save.error?.field === key ? save.error.message : undefined);
  const submit = (event) => {
    event.preventDefault();
    save.run();
  };
  return html`<${Panel} title=${t("Details")}>
    <form onSubmit=${submit}>
      <${TextField} label=${t("Name")} value=${form.name} onInput=${change("name")} maxlength="100" required error=${errorOf("name")} />
      <${TextField} label=${t("Kiosk id")} value=${form.kioskId} onInput=${change("kioskId")} error=${errorOf("kioskId")}
        hint=${t("Tablets of one kiosk share its lockers and commands. Empty: its own id.")} />
      <${TextField} label=${t("Organisation")} value=${form.organizationId} onInput=${change("organizationId")} error=${errorOf("organizationId")} hint=${t("Says which status board it sees.")} />
      <${TextField} label=${t("Tenant")} value=${form.tenantId} onInput=${change("tenantId")} error=${errorOf("tenantId")} />
      ${!save.error?.field && html`<${ErrorText} error=${save.error} />`}
      <button class=${differs ? "primary" : ""} disabled=${save.busy || !differs}>${t("Save")}</button>
    </form>
  </${Panel}>`;
}

function AccessPanel({ client }) {
  const [dialog, openDialog] = useState();
  const close = () => openDialog(undefined);
  const name = client.name;
  const act = (method, path, body, notice) => async () => {
    await call(method, `${clientPath(client)}${path}`, body);
    invalidate("clients", "areas", "tokens", "sessions");
    toast(notice);
  };
  const confirmations = {
    disconnect: {
      title: t("Disconnect {name}?", { name }),
      text: t("Its connections are closed. It may come back at once, and usually does within seconds."),
      again: t("Disconnect it now?"),
      action: t("Disconnect"),
      onConfirm: act("POST", "/disconnect", {}, t("{name} was disconnected", { name })),
    },
    deactivate: {
      title: t("Deactivate {name}?", { name }),
      text: t("Its connections are closed and its token is refused until you activate it again. Its areas, messages and history stay."),
      again: t("The tablet shows nothing any more. Deactivate it?"),
      action: t("Deactivate"),
      onConfirm: act("PATCH", "", { isActive: false }, t("{name} is deactivated", { name })),
    },
    revoke: {
      title: t("Revoke {name}?", { name }),
      text: t("Its token ends for ever, at once and everywhere. The tablet must be paired again; choose “This is an old tablet again” then to give it back its name, areas and history."),
      again: t("This cannot be taken back. Revoke {name}?", { name }),
      action: t("Revoke {name}", { name }),
      onConfirm: act("POST", "/revoke", {}, t("{name} was revoked", { name })),
    },
    remove: {
      title: t("Delete {name}?", { name }),
      text: t("It is revoked, and its name, areas, position and settings are forgotten. It cannot become this tablet again."),
      again: t("This cannot be taken back. Delete {name} for good?", { name }),
      action: t("Delete {name}", { name }),
      onConfirm: async () => {
        await act("DELETE", "", undefined, t("{name} was deleted", { name }))();
        location.hash = "#tablets";
      },
    },
  };
  const activate = useAction(act("PATCH", "", { isActive: true }, t("{name} is active again", { name })));
  return html`<${Panel} title=${t("Ending")} class="endings">
    <div class="button-list">
      <button type="button" disabled=${!client.isOnline} onClick=${() => openDialog("disconnect")}>${t("Disconnect…")}</button>
      ${client.isActive
        ? html`<button type="button" onClick=${() => openDialog("deactivate")}>${t("Deactivate…")}</button>`
        : html`<button type="button" class="primary" disabled=${activate.busy} onClick=${() => activate.run()}>${t("Activate")}</button>`}
      <button type="button" class="quiet-danger danger" onClick=${() => openDialog("revoke")}>${t("Revoke…")}</button>
      <button type="button" class="quiet-danger danger" onClick=${() => openDialog("remove")}>${t("Delete…")}</button>
    </div>
    <${ErrorText} error=${activate.error} />
    ${dialog && html`<${Confirm} key=${dialog} danger ...${confirmations[dialog]} onClose=${close} />`}
  </${Panel}>`;
}
