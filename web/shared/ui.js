// The parts that both apps are built from. They own no state of the house and know no words but those
// that they are given.

import { Fragment, createContext, h, options, render } from "../vendor/preact/preact.js";
import {
  useCallback,
  useContext,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "../vendor/preact/hooks.js";
import htm from "../vendor/htm/htm.js";

// Browsers before Chrome 71 have no queueMicrotask, which preact would use.
if (typeof queueMicrotask === "undefined") options.debounceRendering = (act) => Promise.resolve().then(act);

export const html = htm.bind(h);
export {
  Fragment,
  createContext,
  render,
  useCallback,
  useContext,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
};

/** Class names out of those that hold. */
export const classes = (...names) => names.filter(Boolean).join(" ");

/** `kind`: "primary", "danger", "quiet" or none. A busy one keeps its focus and does nothing. */
export function Button({ kind, isLarge, isBusy, onClick, children, class: more, ...rest }) {
  return html`<button
    type="button"
    ...${rest}
    class=${classes("button", kind, isLarge && "large", more)}
    aria-disabled=${isBusy ? "true" : undefined}
    onClick=${isBusy ? (event) => event.preventDefault() : onClick}
  >
    ${children}
  </button>`;
}

/** A round button whose picture has a name. */
export function IconButton({ label, children, class: more, ...rest }) {
  return html`<button type="button" ...${rest} class=${classes("icon-button", more)} aria-label=${label} title=${label}>
    ${children}
  </button>`;
}

/** A picture of lines on 24 by 24; `path` is its drawing. It says nothing to a reader. */
export function Icon({ path, class: more }) {
  return html`<svg class=${classes("icon", more)} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${path} />
  </svg>`;
}

/** `kind`: "accent", "warn", "danger", "count" or none. */
export function Badge({ kind, children, ...rest }) {
  return html`<span ...${rest} class=${classes("badge", kind)}>${children}</span>`;
}

let fields = 0;

/** A labelled input; `as` is "input", "select" or "textarea", and what else is given goes to it. */
export function Field({ label, hint, error, as = "input", children, ...rest }) {
  const id = useMemo(() => `field-${++fields}`, []);
  const said = classes(hint && `${id}-hint`, error && `${id}-error`);
  const given = Object.assign({ id, "aria-describedby": said || undefined }, rest);
  if (error) given["aria-invalid"] = "true";
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${h(as, given, children)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-error`} role="alert">${error}</p>`}
  </div>`;
}

const FOCUSABLE = "a[href],button:not([disabled]),input:not([disabled]),select,textarea,[tabindex='0']";

/** Keeps the keyboard inside an element while it is there, and gives the focus back afterwards. */
export function useFocusTrap(onEscape) {
  const box = useRef(null);
  const escape = useRef(onEscape);
  escape.current = onEscape;
  useLayoutEffect(() => {
    const before = document.activeElement;
    const first = box.current.querySelector("[data-autofocus]") || box.current;
    first.focus({ preventScroll: true });
    const onKey = (event) => {
      if (event.key === "Escape" && escape.current) {
        event.stopPropagation();
        escape.current();
      }
      if (event.key !== "Tab") return;
      const found = Array.from(box.current.querySelectorAll(FOCUSABLE)).filter((one) => one.offsetParent);
      const [start, end] = [found[0], found[found.length - 1]];
      const at = document.activeElement;
      if (!start) event.preventDefault();
      else if (event.shiftKey && (at === start || at === box.current)) end.focus(), event.preventDefault();
      else if (!event.shiftKey && at === end) start.focus(), event.preventDefault();
    };
    const element = box.current;
    element.addEventListener("keydown", onKey);
    return () => {
      element.removeEventListener("keydown", onKey);
      if (before && before.focus && document.contains(before)) before.focus({ preventScroll: true });
    };
  }, []);
  return box;
}

/** A dialog over the page. Escape, the veil and the cross close it, where `onClose` is given. */
export function Dialog({ title, closeLabel, onClose, actions, children, role = "dialog" }) {
  const box = useFocusTrap(onClose);
  const id = useMemo(() => `dialog-${++fields}`, []);
  return html`<div class="veil" onClick=${(event) => event.target === event.currentTarget && onClose && onClose()}>
    <section class="dialog" role=${role} aria-modal="true" aria-labelledby=${id} tabindex="-1" ref=${box}>
      <header>
        <h2 id=${id}>${title}</h2>
        ${onClose && html`<${IconButton} label=${closeLabel} onClick=${onClose}><${Icon} path="M6 6l12 12M18 6L6 18" /><//>`}
      </header>
      ${children}
      ${actions && html`<footer>${actions}</footer>`}
    </section>
  </div>`;
}

const TOAST_MS = 5000;
let toasts = [];
let showToasts = () => {};

/** Says something for a moment; `kind` "danger" for what failed. */
export function toast(text, kind) {
  const one = { text, kind, key: ++fields };
  toasts = toasts.concat(one).slice(-3);
  showToasts(toasts);
  setTimeout(() => {
    toasts = toasts.filter((other) => other !== one);
    showToasts(toasts);
  }, TOAST_MS);
}

/** Where toasts appear; once in an app. */
export function Toasts() {
  const [shown, show] = useState(toasts);
  useLayoutEffect(() => {
    showToasts = show;
    return () => (showToasts = () => {});
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map(({ text, kind, key }) => html`<p class=${classes("toast", kind)} key=${key}>${text}</p>`)}
  </div>`;
}

/** Draws again when a store tells that it changed. A store has `subscribe(act)`, which returns how to stop. */
export function useStore(store) {
  const [, turn] = useState(0);
  // Before anything else can happen: an effect that comes later would miss a change in between.
  useLayoutEffect(() => store.subscribe(() => turn((count) => count + 1)), [store]);
  return store;
}
