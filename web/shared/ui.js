// Preact components and hooks shared by the tablet app and the admin page. They hold no server state and no
// translated texts; callers pass both in.

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
if (typeof queueMicrotask === "undefined") options.debounceRendering = (callback) => Promise.resolve().then(callback);

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

/** Joins the truthy class names. */
export const classes = (...names) => names.filter(Boolean).join(" ");

/** `kind`: "primary", "danger", "quiet" or none. A busy button keeps the focus and ignores clicks. */
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

/** A round button with an icon; `label` is its accessible name. */
export function IconButton({ label, children, class: more, ...rest }) {
  return html`<button type="button" ...${rest} class=${classes("icon-button", more)} aria-label=${label} title=${label}>
    ${children}
  </button>`;
}

/** A stroked SVG icon; `path` is drawn on a 24 by 24 grid. Hidden from screen readers. */
export function Icon({ path, class: more }) {
  return html`<svg class=${classes("icon", more)} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${path} />
  </svg>`;
}

/** `kind`: "accent", "warn", "danger", "count" or none. */
export function Badge({ kind, children, ...rest }) {
  return html`<span ...${rest} class=${classes("badge", kind)}>${children}</span>`;
}

let nextId = 0;

/** A labelled form control. `as` is "input", "select" or "textarea"; other props are passed to that element. */
export function Field({ label, hint, error, as = "input", children, ...rest }) {
  const id = useMemo(() => `field-${++nextId}`, []);
  const describedBy = classes(hint && `${id}-hint`, error && `${id}-error`);
  const props = Object.assign({ id, "aria-describedby": describedBy || undefined }, rest);
  if (error) props["aria-invalid"] = "true";
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${h(as, props, children)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-error`} role="alert">${error}</p>`}
  </div>`;
}

const FOCUSABLE = "a[href],button:not([disabled]),input:not([disabled]),select,textarea,[tabindex='0']";

/** Traps the keyboard focus in the element that gets the returned ref, and restores it on unmount. */
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

/** A modal dialog. With `onClose`, Escape, a click on the backdrop and the close button close it. */
export function Dialog({ title, closeLabel, onClose, actions, children, role = "dialog" }) {
  const box = useFocusTrap(onClose);
  const id = useMemo(() => `dialog-${++nextId}`, []);
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

/** Shows a short notice for five seconds; `kind` "danger" marks a failure. */
export function toast(text, kind) {
  const added = { text, kind, key: ++nextId };
  toasts = toasts.concat(added).slice(-3);
  showToasts(toasts);
  setTimeout(() => {
    toasts = toasts.filter((other) => other !== added);
    showToasts(toasts);
  }, TOAST_MS);
}

/** The container of the toasts; render it once in an app. */
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

/** Renders again after each change of `store`, whose `subscribe(callback)` returns a function that unsubscribes. */
export function useStore(store) {
  const [, setVersion] = useState(0);
  // A layout effect, because a change between the render and a plain effect would be missed.
  useLayoutEffect(() => store.subscribe(() => setVersion((count) => count + 1)), [store]);
  return store;
}
