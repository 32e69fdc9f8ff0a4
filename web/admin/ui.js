// Components and hooks that the views are built from.

export { Icon } from "./icons.js";
export { toast, Toasts } from "./kit.js";
import { Icon } from "./icons.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./kit.js";
import { acquireList, invalidate, isPaired, onEvent, store, subscribe } from "./store.js";
import { agoInWords, clockTime, fullTime, t } from "./words.js";

/** Renders the component again after changes of the store. */
export function useStore() {
  const [, setVersion] = useState(0);
  useEffect(() => subscribe(() => setVersion((n) => n + 1)), []);
  return store;
}

/** A list of the store, kept current while the component is mounted, and reloaded every `every` ms if given. */
export function useList(name, every) {
  useStore();
  useEffect(() => acquireList(name), [name]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden && store.link.status === "live") invalidate(name);
    }, every);
    return () => clearInterval(timer);
  }, [name, every]);
  const list = store.lists[name];
  const isLate = every && list.at && Date.now() - list.at > 3 * every + 2000;
  return { ...list, isStale: store.link.status !== "live" || Boolean(list.error) || Boolean(isLate) };
}

/** The current time in ms; renders again every second. */
export function useSeconds() {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Calls `handler` with each event while the component is mounted. */
export function useEvents(handler) {
  const newest = useRef(handler);
  newest.current = handler;
  useEffect(() => onEvent((event) => newest.current(event)), []);
}

/** Wraps an async action: `run(...)` executes it, `busy` and `error` hold its status for buttons and `ErrorText`. */
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

/** The heading of a view, with an introduction and its actions. */
export function Head({ title, lead, children }) {
  return html`<header class="head">
    <div>
      <h1 tabindex="-1">${title}</h1>
      ${lead && html`<p class="lead">${lead}</p>`}
    </div>
    ${children && html`<div class="actions">${children}</div>`}
  </header>`;
}

/** A section with a heading. While the list `of` is stale, the section shows when it was last valid. */
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

/** The time at which a stale list was last valid. */
export function AsOf({ of }) {
  if (!of?.isStale || !of.at) return null;
  return html`<span class="as-of">${t("as of {time}", { time: clockTime(of.at) })}</span>`;
}

/** Shows `children` once the list `of` is loaded; before that, a loading text or the error. */
export function Loaded({ of, children }) {
  if (of.value !== undefined) {
    return html`${of.error && store.link.status === "live" ? html`<${ErrorText} error=${of.error} />` : null}${children}`;
  }
  if (of.error) {
    return html`<div class="empty"><${ErrorText} error=${of.error} /></div>`;
  }
  return html`<p class="loading" role="status">${t("Loading…")}</p>`;
}

/** Placeholder for an empty list, with a hint what to do. */
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

/** Badge with a client's presence. */
export function Presence({ client, stale }) {
  useList("tokens");
  if (!client.isActive) return html`<${Badge} tone="quiet">${t("Deactivated")}</${Badge}>`;
  if (isPaired(client) === false) return html`<${Badge} tone="warn">${t("Not paired")}</${Badge}>`;
  if (stale) return html`<${Badge} tone="quiet">${client.isOnline ? t("Was online") : t("Was offline")}</${Badge}>`;
  return client.isOnline
    ? html`<${Badge} tone="good"><i class="dot"></i>${t("Online")}</${Badge}>`
    : html`<${Badge} tone="quiet"><i class="dot hollow"></i>${t("Offline")}</${Badge}>`;
}

/** How long ago, updated every second; the full time is the title. */
export function Ago({ at, none }) {
  useSeconds();
  if (!at) return html`<span class="quiet">${none ?? t("never")}</span>`;
  return html`<time datetime=${new Date(at).toISOString()} title=${fullTime(at)}>${agoInWords(at)}</time>`;
}

/** Time left until `until`, `0:00` afterwards. */
export function Countdown({ until }) {
  const now = useSeconds();
  const left = Math.max(0, Math.round((new Date(until) - now) / 1000));
  const text = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  return html`<span class="countdown" role="timer" aria-live="off">${text}</span>`;
}

/** A labelled form control. `children` is a function that renders the control with the given attributes. */
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

/** A text input, or a textarea if `multiline`. */
export function TextField({ label, hint, error, value, onInput, class: more, multiline, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} class=${more}>
    ${(control) =>
      multiline
        ? html`<textarea ...${control} ...${rest} value=${value} onInput=${(e) => onInput(e.target.value)}></textarea>`
        : html`<input type="text" autocomplete="off" ...${control} ...${rest} value=${value} onInput=${(e) => onInput(e.target.value)} />`}
  </${Field}>`;
}

/** A select; `options` is `[[value, text], …]`. */
export function SelectField({ label, hint, value, onInput, options, class: more }) {
  return html`<${Field} label=${label} hint=${hint} class=${more}>
    ${(control) => html`<select ...${control} value=${value} onInput=${(e) => onInput(e.target.value)}>
      ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}
    </select>`}
  </${Field}>`;
}

/** Checkboxes with a filter. `items` is `[{id, name, note?}]`, `chosen` a Set of ids. */
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

/** A modal dialog; Escape and the close button close it. */
export function Dialog({ title, onClose, children, wide }) {
  const dialog = useRef();
  const id = useRef(`dialog-${Math.random().toString(36).slice(2)}`).current;
  // A layout effect, so that keys pressed right after opening reach the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown.showModal();
    shown.querySelector("[autofocus], input, select, textarea, .dialog-body button")?.focus();
    return () => {
      // Close first: elements behind an open dialog cannot take the focus.
      shown.close();
      if (before?.isConnected) before.focus();
    };
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

/** Confirms an action; with `again` it asks a second time, for actions that cannot be undone. */
export function Confirm({ title, text, again, action, danger, onConfirm, onClose }) {
  const [isSure, setSure] = useState(!again);
  const cancel = useRef();
  // Move the focus to Cancel, so that a repeated key press does not activate the button's replacement.
  useLayoutEffect(() => {
    if (again && isSure) cancel.current.focus();
  }, [isSure]);
  const act = useAction(async () => {
    await onConfirm();
    onClose();
  });
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    ${again && isSure && html`<p class="warning" role="alert">${again}</p>`}
    <${ErrorText} error=${act.error} />
    <div class="buttons">
      <button type="button" ref=${cancel} onClick=${onClose}>${t("Cancel")}</button>
      ${isSure
        ? html`<button key="act" type="button" class=${danger ? "danger" : "primary"} disabled=${act.busy} onClick=${() => act.run()}>${action}</button>`
        : html`<button key="sure" type="button" class="danger quiet-danger" onClick=${() => setSure(true)}>${t("Continue…")}</button>`}
    </div>
  </${Dialog}>`;
}

/** A button that copies a text. */
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
    // The Clipboard API is not available in some frames and over plain HTTP.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** A block of code with a copy button. */
export function Code({ text, label }) {
  return html`<div class="code">
    <div class="code-head"><span>${label}</span><${Copy} text=${text} /></div>
    <pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
  </div>`;
}

/** Tabs within a view. Each is a link, so it can be bookmarked. */
export function Tabs({ label, current, tabs }) {
  const bar = useRef();
  // Scroll the current tab into view on narrow screens.
  useEffect(() => {
    const chosen = bar.current.querySelector("[aria-current]");
    if (chosen) bar.current.scrollLeft = chosen.offsetLeft - (bar.current.clientWidth - chosen.offsetWidth) / 2;
  }, [current]);
  return html`<nav class="tabs" aria-label=${label} ref=${bar}>
    ${tabs.map(
      ([href, text, count]) => html`<a key=${href} href=${href} aria-current=${href === current ? "page" : null}>${text}${count ? html` <${Badge} tone="accent">${count}</${Badge}>` : ""}</a>`,
    )}
  </nav>`;
}
