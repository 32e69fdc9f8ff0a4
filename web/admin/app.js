// Entry point of the admin page: sign-in, navigation, connection status and the views.

import { html, render, useEffect, useRef, useState } from "./kit.js";
import { call, UNKEYED } from "./api.js";
import { ICON } from "./logo.js";
import { connect, me } from "./link.js";
import { SignIn } from "./signin.js";
import { Badge, Icon, Toasts, useAction, useList, useSeconds, useStore } from "./ui.js";
import { clockTime, language, LANGUAGES, setLanguage, t } from "./words.js";
import { Overview } from "./views/overview.js";
import { Tablets } from "./views/tablets.js";
import { Tablet } from "./views/tablet.js";
import { AddTablet } from "./views/pairing.js";
import { Areas } from "./views/areas.js";
import { Messages } from "./views/messages.js";
import { Help } from "./views/help.js";
import { Board } from "./views/board.js";
import { Lockers } from "./views/lockers.js";
import { Events } from "./views/events.js";
import { Audit } from "./views/audit.js";
import { Access } from "./views/access.js";
import { TryOut } from "./views/tryout.js";

/** The views: URL fragment, name, icon, component, and the list counted beside the name. */
const VIEWS = [
  { group: () => t("House") },
  { at: "overview", name: () => t("Overview"), icon: "overview", view: Overview },
  { at: "tablets", name: () => t("Tablets"), icon: "tablet", view: Tablets, inner: Tablet },
  { at: "pair", name: () => t("Add a tablet"), icon: "add", view: AddTablet, counts: "requests" },
  { at: "areas", name: () => t("Areas"), icon: "area", view: Areas },
  { group: () => t("Day to day") },
  { at: "messages", name: () => t("Messages"), icon: "message", view: Messages, counts: "unread" },
  { at: "help", name: () => t("Help requests"), icon: "help", view: Help, counts: "help" },
  { at: "board", name: () => t("Status board"), icon: "board", view: Board },
  { at: "lockers", name: () => t("Lockers"), icon: "locker", view: Lockers },
  { group: () => t("Records and access") },
  { at: "events", name: () => t("Events"), icon: "events", view: Events },
  { at: "audit", name: () => t("Audit"), icon: "audit", view: Audit },
  { at: "access", name: () => t("Access"), icon: "access", view: Access },
  { at: "tryout", name: () => t("Try it out"), icon: "command", view: TryOut },
];

const COUNTS = {
  requests: (list) => list.value?.filter((request) => request.status === "pending").length,
  unread: (list) => list.value?.totalUnread,
  help: (list) => list.value?.filter((request) => request.status === "open").length,
};

function useRoute() {
  const read = () => location.hash.slice(1).split("/").map(decoded);
  const [route, set] = useState(read);
  useEffect(() => {
    const go = () => set(read());
    addEventListener("hashchange", go);
    return () => removeEventListener("hashchange", go);
  }, []);
  return route;
}

/** Decodes a part of the URL fragment, which may be malformed. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function App() {
  const { link } = useStore();
  const [user, setUser] = useState();
  const [problem, setProblem] = useState();
  const start = async () => {
    setProblem(undefined);
    try {
      const principal = await me();
      setUser(principal);
      if (principal.role === "admin") connect(principal);
    } catch (error) {
      if (error.status === 401) setUser({ role: "nobody" });
      else setProblem(error);
    }
  };
  useEffect(() => {
    start();
  }, []);
  useEffect(() => {
    // Retry by itself, for example while the server restarts.
    if (!problem || problem.status === 403) return undefined;
    const timer = setTimeout(start, 3000);
    return () => clearTimeout(timer);
  }, [problem]);
  if (problem) {
    return html`<main class="alone"><h1>Wallcast</h1><p role="alert">${problem.message}</p>
      <button class="primary" onClick=${start}>${t("Try again")}</button></main>`;
  }
  if (!user) return html`<main class="alone"><p role="status">${t("Loading…")}</p></main>`;
  if (user.role !== "admin" || link.reason === "unauthenticated" || link.reason === "revoked") {
    return html`<${SignIn} user=${user} wasSignedIn=${user.role === "admin"} onDone=${start} />`;
  }
  return html`<${Frame} user=${user} />`;
}

function Frame({ user }) {
  const route = useRoute();
  const { link } = useStore();
  const main = useRef();
  const isFirst = useRef(true);
  const [isOpen, setOpen] = useState(false);
  const entry = VIEWS.find((view) => view.at && view.at === route[0]) ?? VIEWS.find((view) => view.at === "overview");
  const routeKey = `${entry.at}/${route[1] ?? ""}`;
  useEffect(() => {
    document.title = `${entry.name()} · Wallcast`;
    setOpen(false);
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current.querySelector("h1")?.focus({ preventScroll: true });
  }, [routeKey]);
  useEffect(() => {
    document.documentElement.dataset.link = link.status;
  }, [link.status]);
  const View = entry.inner && route[1] ? entry.inner : entry.view;
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`<div class="frame">
    <header class="top">
      <a class="skip" href="#" onClick=${skip}>${t("Skip to the content")}</a>
      <button class="icon-button menu-button" aria-label=${t("Menu")} aria-expanded=${isOpen ? "true" : "false"} aria-controls="places" onClick=${() => setOpen(!isOpen)}>
        <${Icon} name=${isOpen ? "close" : "menu"} />
      </button>
      <a class="brand" href="#overview"><img src=${ICON} alt="" width="24" height="24" />Wallcast</a>
      <${LinkStatus} />
    </header>
    <${Navigation} current=${entry.at} isOpen=${isOpen} user=${user} onLeave=${() => setOpen(false)} />
    <main id="main" ref=${main} tabindex="-1">
      <${LinkBanner} />
      <${View} key=${routeKey} arg=${route[1]} rest=${route.slice(2)} user=${user} />
    </main>
    <${Toasts} />
  </div>`;
}

function Navigation({ current, isOpen, user, onLeave }) {
  const lists = { requests: useList("requests"), unread: useList("unread"), help: useList("help") };
  const leave = (event) => {
    if (event.key !== "Escape") return;
    onLeave();
    document.querySelector(".menu-button").focus();
  };
  return html`<nav id="places" class=${`places ${isOpen ? "open" : ""}`} aria-label=${t("Main menu")} onKeyDown=${leave}>
    <ul>
      ${VIEWS.map((view) => {
        if (view.group) return html`<li key=${view.group()} class="group">${view.group()}</li>`;
        const n = view.counts && COUNTS[view.counts](lists[view.counts]);
        return html`<li key=${view.at}>
          <a href=${`#${view.at}`} aria-current=${view.at === current ? "page" : null} onClick=${onLeave}>
            <${Icon} name=${view.icon} /><span>${view.name()}</span>
            ${n ? html`<${Badge} tone="accent">${n}</${Badge}>` : null}
          </a>
        </li>`;
      })}
    </ul>
    <${Preferences} user=${user} />
  </nav>`;
}

/** Ends the browser's session. Not shown on ingress, where Home Assistant authenticates. */
function SignOut() {
  const leave = useAction(async () => {
    await call("DELETE", "api/auth/session", undefined, UNKEYED);
    location.reload();
  });
  return html`<button type="button" class="link" disabled=${leave.busy} onClick=${() => leave.run()}>${t("Sign out")}</button>`;
}

function Preferences({ user }) {
  const [theme, setTheme] = useState(wallcastTheme.chosen());
  const choose = (value) => {
    setTheme(value);
    wallcastTheme.choose(value);
  };
  const themes = [["system", t("System")], ["light", t("Light")], ["dark", t("Dark")], ["evening", t("Dark at night")]];
  return html`<div class="preferences">
    <select aria-label=${t("Colours")} value=${theme} onInput=${(e) => choose(e.target.value)}>
      ${themes.map(([key, text]) => html`<option value=${key} selected=${key === theme}>${text}</option>`)}
    </select>
    <select aria-label=${t("Language")} value=${language} onInput=${(e) => setLanguage(e.target.value)}>
      ${Object.entries(LANGUAGES).map(([code, [name]]) => html`<option value=${code} lang=${code} selected=${code === language}>${name}</option>`)}
    </select>
    ${user.jti && html`<${SignOut} />`}
  </div>`;
}

/** The connection status in one word. */
function LinkStatus() {
  const { link } = useStore();
  const words = { live: t("Live"), connecting: t("Connecting…"), lost: t("Not connected"), ended: t("Signed out") };
  return html`<span class=${`link-state ${link.status}`} title=${link.transport ? t("by {transport}", { transport: link.transport }) : null}>
    <i class="dot"></i>${words[link.status]}
  </span>`;
}

/** A banner when the connection has been lost for two seconds, with a button to reconnect now. */
function LinkBanner() {
  const { link } = useStore();
  const now = useSeconds();
  const [trying, setTrying] = useState(false);
  if (link.status === "live" || link.status === "ended" || now - link.since < 2000) {
    return html`<div role="status"></div>`;
  }
  const retry = async () => {
    setTrying(true);
    await link.tryNow?.();
    setTrying(false);
  };
  return html`<div class="banner" role="status">
    <${Icon} name="warning" />
    <p><strong>${t("Wallcast cannot be reached.")}</strong>${" "}
      ${t("What you see is as of {time}; grey numbers are not live. The page tries again by itself.", { time: clockTime(link.since) })}</p>
    <button type="button" class="small" disabled=${trying} onClick=${retry}>${t("Try now")}</button>
  </div>`;
}

render(html`<${App} />`, document.getElementById("app"));
