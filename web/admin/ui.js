// The small parts that every view is built from.

export { Icon } from "./icons.js";
export { toast, Toasts } from "./kit.js";
import { Icon } from "./icons.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./kit.js";
import { house, hear, isPaired, outdate, use, watch } from "./house.js";
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
  useList("tokens");
  if (!client.isActive) return html`<${Badge} tone="quiet">${t("Deactivated")}</${Badge}>`;
  if (isPaired(client) === false) return html`<${Badge} tone="warn">${t("Not paired")}</${Badge}>`;
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
  // Before anything else can happen: keys that come meanwhile are meant for the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown.showModal();
    shown.querySelector("[autofocus], input, select, textarea, .dialog-body button")?.focus();
    return () => {
      // What lies behind takes no focus while the dialog is open.
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

/** Asks before something happens, and once more where it cannot be taken back. */
export function Confirm({ title, text, again, action, danger, onConfirm, onClose }) {
  const [isSure, setSure] = useState(!again);
  const cancel = useRef();
  // The button that was pressed is gone; what takes its place must not be pressed by the same key.
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
  const bar = useRef();
  // On a phone the current one may lie beyond the edge.
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
