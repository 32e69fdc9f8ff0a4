// The small parts that every view is built from.

export { toast, Toasts } from "./kit.js";
import { html, useEffect, useRef, useState } from "./kit.js";
import { house, hear, outdate, use, watch } from "./house.js";
import { agoInWords, clockTime, fullTime, t } from "./words.js";

/** Draws the component again after changes of the house. */
export function useHouse() {
  const [, draw] = useState(0);
  useEffect(() => watch(() => draw((n) => n + 1)), []);
  return house;
}

/** A list that is kept current while the component stands; loaded again every so many milliseconds. */
export function useList(name, every) {
  useHouse();
  useEffect(() => use(name), [name]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden && house.link.status === "live") outdate(name);
    }, every);
    return () => clearInterval(timer);
  }, [name, every]);
  const list = house.lists[name];
  const late = every && list.at && Date.now() - list.at > 3 * every + 2000;
  return { ...list, isStale: house.link.status !== "live" || Boolean(list.error) || Boolean(late) };
}

/** Draws the component again once a second, for ages and countdowns. */
export function useSeconds() {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Calls back with each event while the component stands. */
export function useEvents(take) {
  const newest = useRef(take);
  newest.current = take;
  useEffect(() => hear((event) => newest.current(event)), []);
}

/** Something that may fail, run at a press: `run` keeps what went wrong for `ErrorText`. */
export function useAction(action) {
  const [state, set] = useState({ busy: false, error: undefined });
  const run = async (...args) => {
    set({ busy: true, error: undefined });
    try {
      const result = await action(...args);
      set({ busy: false, error: undefined });
      return result;
    } catch (error) {
      set({ busy: false, error });
      return undefined;
    }
  };
  return { ...state, run, clear: () => set({ busy: false, error: undefined }) };
}

export function ErrorText({ error }) {
  return error ? html`<p class="error" role="alert">${error.message}</p>` : null;
}

/** A view's head: its name, what it is for, and what can be done here. */
export function Head({ title, lead, children }) {
  return html`<header class="head">
    <div>
      <h1 tabindex="-1">${title}</h1>
      ${lead && html`<p class="lead">${lead}</p>`}
    </div>
    ${children && html`<div class="actions">${children}</div>`}
  </header>`;
}

/** A section with its own heading; while its numbers are old it says of when they are. */
export function Panel({ title, of, actions, children, class: more = "" }) {
  const id = useRef(`panel-${Math.random().toString(36).slice(2)}`).current;
  return html`<section class=${`panel ${more}`} aria-labelledby=${id} data-stale=${of?.isStale && of?.at ? "yes" : null}>
    <div class="panel-head">
      <h2 id=${id}>${title}</h2>
      <${AsOf} of=${of} />
      ${actions && html`<div class="panel-actions">${actions}</div>`}
    </div>
    ${children}
  </section>`;
}

/** When an old number was true. */
export function AsOf({ of }) {
  if (!of?.isStale || !of.at) return null;
  return html`<span class="as-of">${t("as of {time}", { time: clockTime(of.at) })}</span>`;
}

/** A list before it is there: loading, or why not. `children` once it is. */
export function Loaded({ of, children }) {
  if (of.value !== undefined) {
    return html`${of.error && house.link.status === "live" ? html`<${ErrorText} error=${of.error} />` : null}${children}`;
  }
  if (of.error) {
    return html`<div class="empty"><${ErrorText} error=${of.error} /></div>`;
  }
  return html`<p class="loading" role="status">${t("Loading…")}</p>`;
}

/** Nothing there yet, and what to do about it. */
export function Empty({ icon, title, children }) {
  return html`<div class="empty">
    ${icon && html`<${Icon} name=${icon} size=${28} />`}
    <p class="empty-title">${title}</p>
    ${children && html`<div class="empty-text">${children}</div>`}
  </div>`;
}

export function Badge({ tone = "quiet", children }) {
  return html`<span class=${`badge ${tone}`}>${children}</span>`;
}

/** Presence, in colour and in words. */
export function Presence({ client, stale }) {
  if (!client.isActive) return html`<${Badge} tone="quiet">${t("Deactivated")}</${Badge}>`;
  if (stale) return html`<${Badge} tone="quiet">${client.isOnline ? t("Was online") : t("Was offline")}</${Badge}>`;
  return client.isOnline
    ? html`<${Badge} tone="good"><i class="dot"></i>${t("Online")}</${Badge}>`
    : html`<${Badge} tone="quiet"><i class="dot hollow"></i>${t("Offline")}</${Badge}>`;
}

/** How long ago, kept true; the full time as a title. */
export function Ago({ at, none }) {
  useSeconds();
  if (!at) return html`<span class="quiet">${none ?? t("never")}</span>`;
  return html`<time datetime=${new Date(at).toISOString()} title=${fullTime(at)}>${agoInWords(at)}</time>`;
}

/** Time left until then, `0:00` from then on. */
export function Countdown({ until }) {
  const now = useSeconds();
  const left = Math.max(0, Math.round((new Date(until) - now) / 1000));
  const text = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  return html`<span class="countdown" role="timer" aria-live="off">${text}</span>`;
}

/** A labelled form control: `children` is the control, which takes `id` and `aria-describedby`. */
export function Field({ label, hint, error, children, class: more = "" }) {
  const id = useRef(`field-${Math.random().toString(36).slice(2)}`).current;
  const notes = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  const control = children({ id, "aria-describedby": notes, "aria-invalid": error ? "true" : undefined });
  return html`<div class=${`field ${more}`}>
    <label for=${id}>${label}</label>
    ${control}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-error`} role="alert">${error}</p>`}
  </div>`;
}

/** A line of text in a form. */
export function TextField({ label, hint, error, value, onInput, class: more, multiline, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} class=${more}>
    ${(control) =>
      multiline
        ? html`<textarea ...${control} ...${rest} value=${value} onInput=${(e) => onInput(e.target.value)}></textarea>`
        : html`<input type="text" autocomplete="off" ...${control} ...${rest} value=${value} onInput=${(e) => onInput(e.target.value)} />`}
  </${Field}>`;
}

/** A choice in a form: `options` is `[[value, text], …]`. */
export function SelectField({ label, hint, value, onInput, options, class: more }) {
  return html`<${Field} label=${label} hint=${hint} class=${more}>
    ${(control) => html`<select ...${control} value=${value} onInput=${(e) => onInput(e.target.value)}>
      ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}
    </select>`}
  </${Field}>`;
}

/** Things to tick, many at once. `items` is `[{id, name, note?}]`, `chosen` a Set of ids. */
export function CheckList({ label, items, chosen, onChange, empty }) {
  const [filter, setFilter] = useState("");
  const shown = items.filter((item) => item.name.toLowerCase().includes(filter.toLowerCase()));
  const flip = (id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    onChange(next);
  };
  const all = (on) => {
    const next = new Set(chosen);
    for (const { id } of shown) on ? next.add(id) : next.delete(id);
    onChange(next);
  };
  return html`<fieldset class="checklist">
    <legend>${label} <span class="quiet">${items.length ? t("{n} of {all}", { n: chosen.size, all: items.length }) : ""}</span></legend>
    ${items.length > 8 &&
    html`<input type="search" aria-label=${t("Filter")} placeholder=${t("Filter")} value=${filter} onInput=${(e) => setFilter(e.target.value)} />`}
    ${items.length === 0 && html`<p class="hint">${empty}</p>`}
    <div class="checks">
      ${shown.map(
        (item) => html`<label key=${item.id} class="check">
          <input type="checkbox" checked=${chosen.has(item.id)} onChange=${() => flip(item.id)} />
          <span>${item.name}</span>${item.note && html`<small>${item.note}</small>`}
        </label>`,
      )}
    </div>
    ${items.length > 3 &&
    html`<div class="check-all">
      <button type="button" class="link" onClick=${() => all(true)}>${t("All")}</button>
      <button type="button" class="link" onClick=${() => all(false)}>${t("None")}</button>
    </div>`}
  </fieldset>`;
}

export function Switch({ label, on, onChange, disabled }) {
  return html`<button type="button" role="switch" class="switch" aria-checked=${on ? "true" : "false"} aria-label=${label}
    disabled=${disabled} onClick=${() => onChange(!on)}><i></i></button>`;
}

/** A modal dialog; Escape and the cross close it. */
export function Dialog({ title, onClose, children, wide }) {
  const dialog = useRef();
  const id = useRef(`dialog-${Math.random().toString(36).slice(2)}`).current;
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    dialog.current.querySelector("[autofocus], input, select, textarea, .dialog-body button")?.focus();
    return () => before?.isConnected && before.focus();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${dialog} class=${wide ? "wide" : ""} aria-labelledby=${id} onCancel=${cancel}>
    <div class="dialog-head">
      <h2 id=${id}>${title}</h2>
      <button type="button" class="icon-button" aria-label=${t("Close")} onClick=${onClose}><${Icon} name="close" /></button>
    </div>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}

/** Asks before something happens, and once more where it cannot be taken back. */
export function Confirm({ title, text, again, action, danger, onConfirm, onClose }) {
  const [isSure, setSure] = useState(!again);
  const act = useAction(async () => {
    await onConfirm();
    onClose();
  });
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    ${again && isSure && html`<p class="warning" role="alert">${again}</p>`}
    <${ErrorText} error=${act.error} />
    <div class="buttons">
      <button type="button" onClick=${onClose}>${t("Cancel")}</button>
      ${isSure
        ? html`<button key="act" type="button" class=${danger ? "danger" : "primary"} disabled=${act.busy} onClick=${() => act.run()}>${action}</button>`
        : html`<button key="sure" type="button" class="danger quiet-danger" onClick=${() => setSure(true)}>${t("Continue…")}</button>`}
    </div>
  </${Dialog}>`;
}

/** Copies a text, and says so. */
export function Copy({ text, label }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return html`<button type="button" class="small" onClick=${copy}>
    <${Icon} name=${copied ? "check" : "copy"} size=${16} /><span aria-live="polite">${copied ? t("Copied") : (label ?? t("Copy"))}</span>
  </button>`;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Frames and plain HTTP have no clipboard of their own.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Code to copy. */
export function Code({ text, label }) {
  return html`<div class="code">
    <div class="code-head"><span>${label}</span><${Copy} text=${text} /></div>
    <pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
  </div>`;
}

/** Tabs within a view; each is a link, so that it can be come back to. */
export function Tabs({ label, current, tabs }) {
  return html`<nav class="tabs" aria-label=${label}>
    ${tabs.map(
      ([href, text, count]) => html`<a key=${href} href=${href} aria-current=${href === current ? "page" : null}>${text}${count ? html` <${Badge} tone="accent">${count}</${Badge}>` : ""}</a>`,
    )}
  </nav>`;
}

/** Drawn on a grid of 24, as strokes. */
const ICONS = {
  overview: "M4 5h7v6H4zM13 5h7v9h-7zM4 13h7v6H4zM13 16h7v3h-7z",
  tablet: "M6 3h12a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM10.5 18h3",
  add: "M12 5v14M5 12h14",
  area: "M4 11l8-7 8 7M6 9.5V20h12V9.5M10 20v-6h4v6",
  message: "M4 5h16v11H9l-5 4z",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 17h.01",
  board: "M3 12h4l3-7 4 14 3-7h4",
  locker: "M6 10h12v10H6zM8.5 10V7a3.5 3.5 0 0 1 7 0v3M12 14v2",
  events: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
  audit: "M8 4H6a1 1 0 0 0-1 1v15a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V5a1 1 0 0 0-1-1h-2M9 3h6v3H9zM9 12l2 2 4-4",
  access: "M14 10a4 4 0 1 1-1.2-2.8M14 10h7v3M18 10v3",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.5l4.5 4.5L19 7.5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  refresh: "M20 11a8 8 0 1 0-2.3 6M20 5v6h-6",
  command: "M13 3L5 14h6l-1 7 8-11h-6z",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  send: "M4 12l16-8-6 16-3-7z",
  sun: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
};

export function Icon({ name, size = 20 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${ICONS[name]} />
  </svg>`;
}
