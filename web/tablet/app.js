// Entry point of the tablet app. Decides whether this browser is paired, and shows the pairing screen or the
// home screen.

import { Toasts, html, render, toast, useEffect, useLayoutEffect, useStore, useState } from "../shared/ui.js";
import { chooseLanguage } from "../shared/words.js";
import { Wallcast } from "../wallcast.js";
import { Commands } from "./commands.js";
import { Details } from "./details.js";
import { Device } from "./device.js";
import { nameOf } from "./entity.js";
import { App, errorText } from "./frame.js";
import { Help, HelpDialog } from "./help.js";
import { Home } from "./home.js";
import { ServerState } from "./server-state.js";
import { Messages } from "./messages.js";
import { BlackScreen, Identity, MessageOverlay, Screensaver, Dimmer } from "./overlays.js";
import { PairScreen } from "./pair-screen.js";
import { Pairing, findCode } from "./pairing.js";
import { MessagesDialog, SettingsDialog } from "./settings.js";
import { de } from "./words/de.js";
import { en } from "./words/en.js";

/**
 * Storage key: whether this browser is paired or was paired before. The credential itself is a cookie that
 * scripts cannot read.
 */
const PAIRED_KEY = "wallcast.paired";
const IS_PAIRED = "is";
const WAS_PAIRED = "was";
const BASE = "./";

const { t, language } = chooseLanguage({ en, de });
const storage = openStorage();

/** localStorage, or a replacement in memory where storage is blocked, as in some kiosk browsers. */
function openStorage() {
  try {
    localStorage.setItem("wallcast.probe", "1");
    localStorage.removeItem("wallcast.probe");
    return localStorage;
  } catch (error) {
    // The cookie may still be valid: "was paired" makes `start` ask the server.
    const values = new Map([[PAIRED_KEY, WAS_PAIRED]]);
    return {
      getItem: (key) => (values.has(key) ? values.get(key) : null),
      setItem: (key, value) => values.set(key, value),
    };
  }
}

/** The notice on the pairing screen that explains why this tablet's session ended. */
function noticeFor(reason) {
  const known = ["revoked", "inactive", "superseded"].includes(reason) ? reason : "expired";
  return { reason: known, title: t(`ended_${known}`), text: t(`ended_${known}_text`) };
}

const device = new Device(storage);
const client = new Wallcast({ base: BASE, storage });
const server = new ServerState(client, (entity, error) => {
  const offline = error && (error.code === "offline" || error.code === "timeout");
  const name = nameOf(entity);
  if (offline) toast(t("not_connected"), "danger");
  else if (error) toast(t("refused", { name, why: errorText(t, error) }), "danger");
  else toast(t("did_not_happen", { name }), "danger");
});
const messages = new Messages(client);
const help = new Help(client);
const context = { server, device, messages, help, t, language };
new Commands(client, Object.assign(context, { show: showArea }), storage);

function showArea(id) {
  history.replaceState(null, "", `#area/${encodeURIComponent(id)}`);
  window.dispatchEvent(new Event("hashchange"));
}

/** The area id in the URL's fragment, or "". The fragment may be malformed. */
function areaIdInUrl() {
  try {
    return decodeURIComponent((/^#area\/(.+)$/.exec(location.hash) || [])[1] || "");
  } catch (error) {
    return "";
  }
}

function PairedTablet() {
  for (const store of [server, device, messages, help]) useStore(store);
  const [chosenId, setChosenId] = useState(areaIdInUrl());
  const [dialog, open] = useState(null);
  useLayoutEffect(() => {
    const onHashChange = () => {
      setChosenId(areaIdInUrl());
      open(null);
    };
    window.addEventListener("hashchange", onHashChange);
    return () => window.removeEventListener("hashchange", onHashChange);
  }, []);
  const unconfirmed = messages.unconfirmed;
  useEffect(() => {
    if (unconfirmed.length) device.wake();
  }, [unconfirmed.length]);
  const close = () => open(null);
  const isAsleep = device.isOff || device.isIdle;
  return html`<${App.Provider} value=${Object.assign({}, context, { open })}>
    <div aria-hidden=${unconfirmed.length || dialog || isAsleep ? "true" : undefined}><${Home} chosenId=${chosenId} /></div>
    ${dialog && dialog.entityId && html`<${Details} entityId=${dialog.entityId} onClose=${close} />`}
    ${dialog && dialog.help && html`<${HelpDialog} onClose=${close} />`}
    ${dialog && dialog.messages && html`<${MessagesDialog} onClose=${close} />`}
    ${dialog && dialog.settings && html`<${SettingsDialog} onClose=${close} />`}
    ${unconfirmed.length > 0 && html`<${MessageOverlay} key=${unconfirmed[0].id} message=${unconfirmed[0]} count=${unconfirmed.length} />`}
    ${device.identifying && html`<${Identity} />`}
    ${device.isIdle && !device.isOff && html`<${Screensaver} />`}
    ${device.isOff && html`<${BlackScreen} />`}
    <${Dimmer} brightness=${device.brightness} />
  <//>`;
}

function Root() {
  const [stage, setStage] = useState({ name: "starting" });
  useEffect(() => {
    const onPaired = () => {
      storage.setItem(PAIRED_KEY, IS_PAIRED);
      client.forget();
      history.replaceState(null, "", location.pathname.replace(/pair$/, ""));
      setStage({ name: "home" });
      client.connect();
    };
    const pairing = new Pairing(BASE, onPaired);
    const showPairing = async (notice) => {
      setStage({ name: "pairing", pairing, notice });
      const code = findCode(location.hash);
      // A code works once: remove it, so that a reload does not submit it again.
      if (code) history.replaceState(null, "", location.pathname);
      // Without a valid code, request a pairing that an admin has to approve.
      if (!code || !(await pairing.submitCode(code))) pairing.requestApproval();
    };
    client.on("state", ({ phase, reason }) => {
      if (phase !== "ended") return;
      client.forget();
      storage.setItem(PAIRED_KEY, WAS_PAIRED);
      showPairing(noticeFor(reason));
    });
    start(showPairing, () => {
      setStage({ name: "home" });
      client.connect();
    });
    return () => pairing.stop();
  }, []);
  return html`
    ${stage.name === "pairing" && html`<${PairScreen} pairing=${stage.pairing} t=${t} notice=${stage.notice} />`}
    ${stage.name === "home" && html`<${PairedTablet} />`}
    <${Toasts} />
  `;
}

/**
 * A paired tablet shows the home screen; the connection reports if its cookie is no longer valid. A tablet
 * that was paired before first asks the server whether its cookie is valid again.
 */
async function start(showPairing, showHome) {
  const paired = storage.getItem(PAIRED_KEY);
  if (findCode(location.hash) || !paired) return showPairing();
  if (paired === IS_PAIRED) return showHome();
  try {
    const { role } = await client.request("GET", "api/me");
    if (role !== "client") return showPairing();
    storage.setItem(PAIRED_KEY, IS_PAIRED);
    return showHome();
  } catch (error) {
    return showPairing(["revoked", "inactive"].includes(error.code) ? noticeFor(error.code) : undefined);
  }
}

render(html`<${Root} />`, document.getElementById("app"));

// With a trusted certificate the service worker opens the app while the server is unreachable. Without one
// browsers refuse to register it.
if ("serviceWorker" in navigator && window.isSecureContext) {
  window.addEventListener("load", () => navigator.serviceWorker.register("sw.js").catch(() => {}));
}
