// Adds a tablet (docs/protocol.md#pairing): creates a code for it, or approves its pairing request.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../kit.js";
import { call, UNKEYED } from "../api.js";
import { invalidate } from "../store.js";
import { Ago, CheckList, Copy, Countdown, Dialog, Empty, ErrorText, Head, Icon, Loaded, Panel, SelectField, TextField, toast, useAction, useEvents, useList, useSeconds } from "../ui.js";
import { count, t } from "../words.js";
import { areaItems } from "./bulk.js";

export function AddTablet({ arg: scanned }) {
  return html`<${Head} title=${t("Add a tablet")} lead=${t("Open Wallcast in the tablet’s browser. Then either type the code from here into the tablet, or let in the tablet that asks.")} />
    <div class="columns even">
      <${Offer} />
      <${Requests} scanned=${scanned} />
    </div>`;
}

const EMPTY_TERMS = { name: "", areaIds: new Set(), clientId: "", organizationId: "", tenantId: "", kioskId: "" };

/** Form for the name, areas and ids that a tablet gets when it is paired. */
function Terms({ terms, onChange, full, clients, areas, suggested }) {
  const set = (key) => (value) => onChange({ ...terms, [key]: value });
  const old = (clients ?? []).map((client) => [client.id, client.isOnline ? t("{name} (online now)", { name: client.name }) : client.name]);
  const selectClient = (clientId) => {
    const client = clients.find((one) => one.id === clientId);
    const has = client ? new Set(client.assignedAreas.map((area) => area.id)) : terms.areaIds;
    onChange({ ...terms, clientId, name: client ? "" : terms.name, areaIds: has });
  };
  return html`
    ${old.length > 0 &&
    html`<${SelectField} label=${t("This is")} value=${terms.clientId} onInput=${selectClient}
      hint=${terms.clientId ? t("It gets back its name, areas and history. Tokens that it had before are revoked.") : undefined}
      options=${[["", t("a new tablet")], ...old.map(([id, name]) => [id, t("an old tablet again: {name}", { name })])]} />`}
    ${!terms.clientId && html`<${TextField} label=${t("Name")} value=${terms.name} onInput=${set("name")} maxlength="100" placeholder=${suggested ?? t("Kitchen tablet")} hint=${t("Empty: the tablet’s own name.")} />`}
    <${CheckList} label=${t("Areas")} items=${areaItems(areas)} chosen=${terms.areaIds} onChange=${set("areaIds")} empty=${t("There is no area yet. You can give areas later.")} />
    ${full &&
    html`<details class="more"><summary>${t("Kiosk, organisation, tenant")}</summary>
      <${TextField} label=${t("Kiosk id")} value=${terms.kioskId} onInput=${set("kioskId")} />
      <${TextField} label=${t("Organisation")} value=${terms.organizationId} onInput=${set("organizationId")} />
      <${TextField} label=${t("Tenant")} value=${terms.tenantId} onInput=${set("tenantId")} />
    </details>`}`;
}

function requestBody(terms) {
  const text = (value) => value.trim() || undefined;
  return {
    name: text(terms.name),
    areaIds: [...terms.areaIds],
    clientId: text(terms.clientId),
    organizationId: text(terms.organizationId),
    tenantId: text(terms.tenantId),
    kioskId: text(terms.kioskId),
  };
}

function Offer() {
  const areas = useList("areas");
  const clients = useList("clients");
  const [terms, setTerms] = useState(EMPTY_TERMS);
  const [offer, setOffer] = useState();
  const [done, setDone] = useState();
  const make = useAction(async () => {
    setDone(undefined);
    setOffer(await call("POST", "api/pairing/codes", requestBody(terms), UNKEYED));
  });
  useEvents((event) => {
    if (event.type === "pairing_completed" && event.data.pairingId === offer?.pairingId) {
      setDone(event.data);
      setOffer(undefined);
      setTerms(EMPTY_TERMS);
    }
    if (event.type === "pairing_expired" && event.data.pairingId === offer?.pairingId) setOffer(undefined);
  });
  const submit = (event) => {
    event.preventDefault();
    make.run();
  };
  return html`<${Panel} title=${t("A code for the tablet")} class="offer">
    <div role="status">
      ${done &&
      html`<div class="done">
        <${Icon} name="check" size=${28} />
        <p><strong>${t("{name} is paired.", { name: done.clientName })}</strong></p>
        <p class="quiet">${done.assignedAreas.length ? done.assignedAreas.map((area) => area.name).join(", ") : t("It has no areas yet.")}</p>
        <a class="button" href=${`#tablets/${encodeURIComponent(done.clientId)}`}>${t("Show this tablet")}</a>
      </div>`}
    </div>
    ${offer
      ? html`<${Code} offer=${offer} onNew=${() => make.run()} onBack=${() => setOffer(undefined)} busy=${make.busy} />`
      : html`<form onSubmit=${submit}>
          <${Terms} terms=${terms} onChange=${setTerms} areas=${areas.value} clients=${clients.value} />
          <${ErrorText} error=${make.error} />
          <button class="primary" disabled=${make.busy}>${done ? t("Make another code") : t("Make a code")}</button>
        </form>`}
  </${Panel}>`;
}

function Code({ offer, onNew, onBack, busy }) {
  const now = useSeconds();
  const isExpired = new Date(offer.expiresAt) <= now;
  const picture = `data:image/svg+xml,${encodeURIComponent(offer.qrSvg)}`;
  const spoken = offer.code.split("").join(" ");
  const place = useRef();
  // The submitted form is gone: move the focus to the code, for screen readers.
  useLayoutEffect(() => place.current.focus(), [offer.code]);
  return html`<div class="code-offer" tabindex="-1" ref=${place}>
    <div class=${`qr ${isExpired ? "over" : ""}`}><img src=${picture} alt=${t("QR code of the address with the code")} width="240" height="240" /></div>
    <p class=${`big-code ${isExpired ? "over" : ""}`} aria-label=${t("Code {code}", { code: spoken })}>${offer.code.slice(0, 3)} ${offer.code.slice(3)}</p>
    ${isExpired
      ? html`<p role="status">${t("This code has expired.")}</p><button type="button" class="primary" disabled=${busy} onClick=${onNew}>${t("Make a new code")}</button>`
      : html`<p class="quiet">${t("Works once, for")} <${Countdown} until=${offer.expiresAt} /></p>
          <p>${t("Scan it with the tablet, or open this address there:")}</p>
          <p class="address"><span class="mono">${offer.url}</span><${Copy} text=${offer.url} /></p>
          <div class="buttons center"><button type="button" onClick=${onBack}>${t("Back")}</button><button type="button" disabled=${busy} onClick=${onNew}>${t("Make a new code")}</button></div>`}
  </div>`;
}

function Requests({ scanned }) {
  const requests = useList("requests", 10_000);
  const clients = useList("clients");
  const [selected, select] = useState();
  const [openedAt] = useState(Date.now);
  const [isLost, setLost] = useState(false);
  const open = (requests.value ?? []).filter((request) => request.status === "pending");
  const isScanned = (request) => normalize(request.code) === normalize(scanned);
  useEffect(() => {
    if (scanned) invalidate("requests");
  }, [scanned]);
  useEffect(() => {
    if (!scanned || isLost) return;
    const found = open.find(isScanned);
    if (found) select({ request: found, isMatched: true });
    // Only a list loaded after the scan proves that the request is gone.
    else if (requests.at >= openedAt && !selected) setLost(true);
  }, [requests.value]);
  const current = selected && open.find((request) => request.pairingId === selected.request.pairingId);
  return html`<${Panel} title=${t("Tablets that ask")} of=${requests} class=${open.length ? "first" : ""}>
    ${isLost && !open.some(isScanned) && html`<p class="warning" role="alert">${t("The code {code} waits no more. Start the pairing on the tablet again.", { code: scanned })}</p>`}
    <${Loaded} of=${requests}>
      ${open.length === 0
        ? html`<${Empty} icon="tablet" title=${t("No tablet asks at the moment")}>
            <p>${t("Open Wallcast on the tablet: it shows a code, and asks here by itself.")}</p>
          </${Empty}>`
        : html`<ul class="rows" aria-label=${t("Tablets that ask")}>
            ${open.map(
              (request) => html`<li key=${request.pairingId} class="row">
                <div class="row-main"><strong>${request.name ?? t("A tablet")}</strong>
                  <span class="quiet">${[request.platform, request.address].filter(Boolean).join(" · ")}</span>
                  <small class="quiet">${t("asked")} <${Ago} at=${request.createdAt} />, ${t("ends in")} <${Countdown} until=${request.expiresAt} /></small></div>
                <div class="row-actions"><${Deny} request=${request} />
                  <button type="button" class="primary small" onClick=${() => select({ request })}>${t("Let in…")}</button></div>
              </li>`,
            )}
          </ul>`}
    </${Loaded}>
    ${current && html`<${Approve} request=${current} isMatched=${selected.isMatched} clients=${clients.value} onClose=${() => select(undefined)} />`}
  </${Panel}>`;
}

function normalize(code) {
  return code.replace(/[^0-9a-z]/gi, "").toUpperCase();
}

const requestPath = (request) => `api/pairing/requests/${encodeURIComponent(request.pairingId)}`;

function Deny({ request }) {
  const deny = useAction(async () => {
    await call("POST", `${requestPath(request)}/deny`, {});
    invalidate("requests");
    toast(t("The tablet was told that it was denied"));
  });
  return html`<button type="button" class="small" disabled=${deny.busy} onClick=${() => deny.run()}>${t("Deny")}</button>`;
}

/** Two steps: confirm the code that the tablet shows, so that no other device is approved; then its settings. */
function Approve({ request, isMatched, clients, onClose }) {
  const areas = useList("areas");
  const [matched, setMatched] = useState(Boolean(isMatched));
  const [terms, setTerms] = useState(EMPTY_TERMS);
  const approve = useAction(async () => {
    const { client } = await call("POST", `${requestPath(request)}/approve`, requestBody(terms));
    invalidate("requests", "clients", "areas");
    toast(t("{name} is paired.", { name: client.name }));
    onClose();
    location.hash = `#tablets/${encodeURIComponent(client.id)}`;
  });
  const submit = (event) => {
    event.preventDefault();
    approve.run();
  };
  const title = t("Let in {name}?", { name: request.name ?? t("this tablet") });
  if (!matched) {
    return html`<${Dialog} title=${title} onClose=${onClose}><${Match} request=${request} onRight=${() => setMatched(true)} onClose=${onClose} /></${Dialog}>`;
  }
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p class="quiet-line"><${Icon} name="check" size=${18} /> ${t("The tablet shows {code}.", { code: request.code })}</p>
    <form onSubmit=${submit}>
      <${Terms} full terms=${terms} onChange=${setTerms} areas=${areas.value} clients=${clients} suggested=${request.name} />
      <${ErrorText} error=${approve.error} />
      <div class="buttons"><button type="button" onClick=${onClose}>${t("Cancel")}</button>
        <button class="primary" disabled=${approve.busy}>${terms.areaIds.size ? count(terms.areaIds.size, "Let in with {n} area", "Let in with {n} areas") : t("Let in without areas")}</button></div>
    </form>
  </${Dialog}>`;
}

function Match({ request, onRight, onClose }) {
  const [codes] = useState(() => shuffled([request.code, decoy(request.code), decoy(request.code)]));
  const [isWrong, setWrong] = useState(false);
  const deny = useAction(async () => {
    await call("POST", `${requestPath(request)}/deny`, { reason: "the codes did not match" });
    invalidate("requests");
    onClose();
  });
  if (isWrong) {
    return html`<p class="warning" role="alert">${t("That is not the code of this request. It may come from another device: look at the tablet again, or deny it.")}</p>
      <${ErrorText} error=${deny.error} />
      <div class="buttons"><button type="button" class="danger quiet-danger" disabled=${deny.busy} onClick=${() => deny.run()}>${t("Deny")}</button>
        <button type="button" class="primary" onClick=${onClose}>${t("Look again")}</button></div>`;
  }
  return html`<p>${t("Which code does the tablet in front of you show?")}</p>
    <div class="match">
      ${codes.map((code) => html`<button type="button" key=${code} class="mono" onClick=${() => (code === request.code ? onRight() : setWrong(true))}>${code}</button>`)}
    </div>
    <div class="buttons"><button type="button" onClick=${() => setWrong(true)}>${t("None of these")}</button></div>`;
}

/** A random code of the same format. */
function decoy(code) {
  const letters = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";
  const random = crypto.getRandomValues(new Uint8Array(code.length));
  return [...code].map((letter, place) => (letter === "-" ? "-" : letters[random[place] % letters.length])).join("");
}

function shuffled(list) {
  const keys = crypto.getRandomValues(new Uint32Array(list.length));
  return list.map((item, place) => [keys[place], item]).sort((a, b) => a[0] - b[0]).map(([, item]) => item);
}
