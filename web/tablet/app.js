// The tablet's app: finds out who this tablet is, and shows the way in or the house.

import { Toasts, html, render, toast, useEffect, useLayoutEffect, useStore, useState } from "../shared/ui.js";
import { choose } from "../shared/words.js";
import { Wallcast } from "../wallcast.js";
import { Commands } from "./commands.js";
import { Details } from "./details.js";
import { Device } from "./device.js";
import { nameOf } from "./entity.js";
import { App, why } from "./frame.js";
import { Help, HelpDialog } from "./help.js";
import { Home } from "./home.js";
import { House } from "./house.js";
import { Messages } from "./messages.js";
import { Darkness, Identity, MessageOverlay, Screensaver, Veil } from "./overlays.js";
import { PairScreen } from "./pair-screen.js";
import { Pairing, codeIn } from "./pairing.js";
import { MessagesDialog, SettingsDialog } from "./settings.js";
import { de } from "./words/de.js";
import { en } from "./words/en.js";

/** Whether this browser is paired, or was; not with what, which no script may know. */
const PAIRED = "wallcast.paired";
const IS = "is";
const WAS = "was";
const BASE = "./";

const { say, language } = choose({ en, de });
const storage = keeper();

/** Where nothing may be stored, as in some kiosk browsers, it holds as long as the page. */
function keeper() {
  try {
    localStorage.setItem("wallcast.probe", "1");
    localStorage.removeItem("wallcast.probe");
    return localStorage;
  } catch (error) {
    // Then only the cookie knows whether this tablet was paired, and the house is asked.
    const kept = new Map([[PAIRED, WAS]]);
    return {
      getItem: (key) => (kept.has(key) ? kept.get(key) : null),
      setItem: (key, value) => kept.set(key, value),
    };
  }
}

/** Why this tablet is out, in words for whoever stands before it. */
function noticeOf(reason) {
  const known = ["revoked", "inactive", "superseded"].includes(reason) ? reason : "expired";
  return { reason: known, title: say(`ended_${known}`), text: say(`ended_${known}_text`) };
}

const device = new Device(storage);
const client = new Wallcast({ base: BASE, storage });
const house = new House(client, (entity, error) => {
  const offline = error && (error.code === "offline" || error.code === "timeout");
  const name = nameOf(entity);
  if (offline) toast(say("not_connected"), "danger");
  else if (error) toast(say("refused", { name, why: why(say, error) }), "danger");
  else toast(say("did_not_happen", { name }), "danger");
});
const messages = new Messages(client);
const help = new Help(client);
const context = { house, device, messages, help, say, language };
new Commands(client, Object.assign(context, { show: showArea }), storage);

function showArea(id) {
  history.replaceState(null, "", `#area/${encodeURIComponent(id)}`);
  window.dispatchEvent(new Event("hashchange"));
}

/** The area that the address names; anybody may have written it. */
function areaInAddress() {
  try {
    return decodeURIComponent((/^#area\/(.+)$/.exec(location.hash) || [])[1] || "");
  } catch (error) {
    return "";
  }
}

function PairedTablet() {
  for (const store of [house, device, messages, help]) useStore(store);
  const [chosenId, choose] = useState(areaInAddress());
  const [dialog, open] = useState(null);
  useLayoutEffect(() => {
    const follow = () => {
      choose(areaInAddress());
      open(null);
    };
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const waiting = messages.waiting;
  useEffect(() => {
    if (waiting.length) device.wake();
  }, [waiting.length]);
  const close = () => open(null);
  const isAsleep = device.isOff || device.isIdle;
  return html`<${App.Provider} value=${Object.assign({}, context, { open })}>
    <div aria-hidden=${waiting.length || dialog || isAsleep ? "true" : undefined}><${Home} chosenId=${chosenId} /></div>
    ${dialog && dialog.entityId && html`<${Details} entityId=${dialog.entityId} onClose=${close} />`}
    ${dialog && dialog.help && html`<${HelpDialog} onClose=${close} />`}
    ${dialog && dialog.messages && html`<${MessagesDialog} onClose=${close} />`}
    ${dialog && dialog.settings && html`<${SettingsDialog} onClose=${close} />`}
    ${waiting.length > 0 && html`<${MessageOverlay} key=${waiting[0].id} message=${waiting[0]} count=${waiting.length} />`}
    ${device.identifying && html`<${Identity} />`}
    ${device.isIdle && !device.isOff && html`<${Screensaver} />`}
    ${device.isOff && html`<${Darkness} />`}
    <${Veil} brightness=${device.brightness} />
  <//>`;
}

function Root() {
  const [stage, enter] = useState({ name: "starting" });
  useEffect(() => {
    const paired = () => {
      storage.setItem(PAIRED, IS);
      client.forget();
      history.replaceState(null, "", location.pathname.replace(/pair$/, ""));
      enter({ name: "home" });
      client.connect();
    };
    const pairing = new Pairing(BASE, paired);
    const offer = async (notice) => {
      enter({ name: "pairing", pairing, notice });
      const code = codeIn(location.hash);
      // A code is for one use: it does not stay where a reload would bring it again.
      if (code) history.replaceState(null, "", location.pathname);
      // Whoever brings a good code asks for nothing else.
      if (!code || !(await pairing.bring(code))) pairing.ask();
    };
    client.on("state", ({ phase, reason }) => {
      if (phase !== "ended") return;
      client.forget();
      storage.setItem(PAIRED, WAS);
      offer(noticeOf(reason));
    });
    begin(offer, () => {
      enter({ name: "home" });
      client.connect();
    });
    return () => pairing.stop();
  }, []);
  return html`
    ${stage.name === "pairing" && html`<${PairScreen} pairing=${stage.pairing} say=${say} notice=${stage.notice} />`}
    ${stage.name === "home" && html`<${PairedTablet} />`}
    <${Toasts} />
  `;
}

/** A tablet that is paired goes home and hears there if that has ended; one that was asks who it is. */
async function begin(offer, goHome) {
  const standing = storage.getItem(PAIRED);
  if (codeIn(location.hash) || !standing) return offer();
  if (standing === IS) return goHome();
  try {
    const { role } = await client.request("GET", "api/me");
    if (role !== "client") return offer();
    storage.setItem(PAIRED, IS);
    return goHome();
  } catch (error) {
    return offer(["revoked", "inactive"].includes(error.code) ? noticeOf(error.code) : undefined);
  }
}

render(html`<${Root} />`, document.getElementById("app"));

// Where the certificate is trusted the app opens without the house; elsewhere browsers refuse the worker.
if ("serviceWorker" in navigator && window.isSecureContext) {
  window.addEventListener("load", () => navigator.serviceWorker.register("sw.js").catch(() => {}));
}
