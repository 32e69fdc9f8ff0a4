// "What could this tablet see and do?": the server's view for one client, from `GET api/clients/ID/view`.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { Badge, Code, Empty, ErrorText, Icon, Panel, useAction } from "../ui.js";
import { clockTime, count, t } from "../words.js";
import { statusWord } from "../statuses.js";
import { serviceTone } from "./board.js";
import { clientPath } from "./tablet.js";

export function TabletView({ client }) {
  const [view, setView] = useState();
  const load = useAction(async () => {
    setView({ ...(await call("GET", `${clientPath(client)}/view`)), at: Date.now() });
  });
  return html`<${Panel} title=${t("What could this tablet see and do?")} actions=${view && html`<button type="button" class="small" disabled=${load.busy} onClick=${() => load.run()}><${Icon} name="refresh" size=${16} />${t("Ask again")}</button>`}>
    <${ErrorText} error=${load.error} />
    ${view
      ? html`<${ViewResult} view=${view} />`
      : html`<p class="quiet">${t("Asks Wallcast with this tablet’s own rights, and shows the answer as the tablet would get it.")}</p>
          <button type="button" disabled=${load.busy} onClick=${() => load.run()}><${Icon} name="eye" size=${18} />${t("Look with its eyes")}</button>`}
  </${Panel}>`;
}

function ViewResult({ view }) {
  const areas = view.assignedAreas;
  const enabled = areas.filter((area) => area.isEnabled);
  const states = new Map((view.states ?? []).map((state) => [state.entityId, state]));
  return html`<p class="quiet">${t("As of {time}.", { time: clockTime(view.at) })} ${view.mayConnect ? "" : html`<strong class="warn-text">${t("It may not connect: {reason}", { reason: refusalReason(view) })}</strong>`}</p>
    <h3>${t("It sees")}</h3>
    ${areas.length === 0 && html`<${Empty} title=${t("No area: it shows nothing but its messages")} />`}
    <ul class="seen">
      ${areas.map(
        (area) => html`<li key=${area.id}>
          <p><strong>${area.name}</strong> ${!area.isEnabled && html`<${Badge} tone="warn">${t("switched off: nothing of it is told")}</${Badge}>`}</p>
          ${area.isEnabled &&
          html`<ul class="entities">${area.entityIds.map(
            (id) => html`<li key=${id}><span class="mono">${id}</span><span class="quiet">${states.get(id)?.state ?? t("no state known")}</span><span class="may">${(view.mayCall?.[id] ?? []).join(", ") || html`<span class="quiet">${t("only to look at")}</span>`}</span></li>`,
          )}${area.entityIds.length === 0 && html`<li class="quiet">${t("no entities")}</li>`}</ul>`}
        </li>`,
      )}
    </ul>
    <h3>${t("It hears")}</h3>
    <p>${view.topics.map((topic) => html`<span key=${topic} class="chip" title=${topic}>${topicName(topic, view)}</span>`)}</p>
    <h3>${t("It may enter")}</h3>
    <p>${view.rooms.map((room) => html`<span key=${room} class="chip" title=${room}>${areas.find((area) => area.id === room)?.name ?? (room === view.client.id ? t("its own room") : t("kiosk {id}", { id: room }))}</span>`)}</p>
    ${view.board.services.length > 0 &&
    html`<h3>${t("Its status board")}</h3>
      <p>${view.board.services.map((service) => html`<${Badge} key=${service.id} tone=${serviceTone(service.status)}>${service.name}: ${statusWord(service.status)}</${Badge}> `)}</p>`}
    ${view.lockers.length > 0 && html`<h3>${t("Its lockers")}</h3><p>${view.lockers.map((locker) => html`<span key=${locker.id} class="chip mono">${locker.id}: ${locker.state}</span>`)}</p>`}
    <p class="quiet">${count(enabled.length, "{n} area can be used.", "{n} areas can be used.")}</p>
    <details class="more"><summary>${t("The whole answer")}</summary><${Code} label="GET /api/clients/{id}/view" text=${JSON.stringify({ ...view, at: undefined }, undefined, 2)} /></details>`;
}

/** Display name of a topic. */
function topicName(topic, view) {
  const [kind, ...rest] = topic.split(":");
  const id = rest.join(":");
  if (kind === "all") return t("what is for everyone");
  if (kind === "client") return t("what is for it alone");
  if (kind === "area") return t("area {name}", { name: view.assignedAreas.find((area) => area.id === id)?.name ?? id });
  if (kind === "namespace") return t("what is for namespace {path}", { path: id });
  return { org: t("organisation {id}", { id }), tenant: t("tenant {id}", { id }) }[kind] ?? topic;
}

function refusalReason({ client, hasToken }) {
  if (!client.isActive) return t("it is deactivated");
  return hasToken ? "" : t("no token of it stands; pair it again");
}
