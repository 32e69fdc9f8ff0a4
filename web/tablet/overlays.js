// Full-screen overlays: an unconfirmed message, the idle clock, the black screen, the tablet's name, the dimmer.

import { Button, Icon, html, toast, useEffect, useFocusTrap, useState } from "../shared/ui.js";
import { age, bareClock, clock, errorText, useApp, useNow } from "./frame.js";
import { ICONS } from "./icons.js";

const LEVELS = { warning: "warn", error: "danger", critical: "danger", urgent: "danger" };

/** The oldest unconfirmed message; `count` unconfirmed messages in all. */
export function MessageOverlay({ message, count }) {
  const { messages, t, language } = useApp();
  const box = useFocusTrap();
  const [isBusy, setBusy] = useState(false);
  const now = useNow(10000);
  const confirm = async () => {
    setBusy(true);
    try {
      await messages.confirm(message);
    } catch (error) {
      toast(errorText(t, error), "danger");
    }
    setBusy(false);
  };
  const sent = Date.parse(message.createdAt);
  return html`<section class=${`message ${LEVELS[message.level] || ""}`} role="alertdialog" aria-modal="true" aria-labelledby="message-title" aria-describedby="message-body" tabindex="-1" ref=${box}>
    <div class="message-sheet">
      <p class="message-from" id="message-title">
        ${message.from && message.from.userId ? message.from.userId : t("from_house")}
        <span class="soft"> · ${clock(language, sent)} · ${age(t, sent, now)}</span>
      </p>
      <p class=${message.body.length > 120 ? "message-body is-long" : "message-body"} id="message-body">${message.body}</p>
      <div class="message-actions">
        <${Button} kind="primary" isLarge isBusy=${isBusy} data-autofocus onClick=${confirm}>${t("got_it")}<//>
        ${count > 1 && html`<p class="soft">${t("more_messages", { n: count - 1 })}</p>`}
      </div>
    </div>
  </section>`;
}

/** A clock that moves slowly, to prevent screen burn-in. */
export function Screensaver() {
  const { server, messages, language, t } = useApp();
  const now = useNow(1000);
  const minute = Math.floor(now / 60000);
  const offset = { x: Math.sin(minute * 2.4) * 7, y: Math.cos(minute * 1.7) * 7 };
  const move = (element) => element && (element.style.transform = `translate(${offset.x}vw, ${offset.y}vh)`);
  const date = new Date(now).toLocaleDateString(language, { weekday: "long", day: "numeric", month: "long" });
  return html`<section class="saver" aria-label=${t("saver")}>
    <div class="saver-words" ref=${move}>
      <p class="saver-clock numbers">${bareClock(language, now)}</p>
      <p class="saver-date">${date}</p>
      ${messages.unread > 0 && html`<p class="saver-note">${t("unread", { n: messages.unread })}</p>`}
      ${server.isStale && html`<p class="saver-note"><${Icon} path=${ICONS.offline} />${t("not_connected")}</p>`}
    </div>
  </section>`;
}

/** A black screen until somebody touches it. */
export function BlackScreen() {
  const { t } = useApp();
  return html`<section class="darkness" aria-label=${t("screen_is_off")}></section>`;
}

/** This tablet's name, shown by the command `identify`. */
export function Identity() {
  const { server, device, t } = useApp();
  useEffect(() => {
    const stop = (event) => event.key === "Escape" && device.stopIdentifying();
    window.addEventListener("keydown", stop);
    return () => window.removeEventListener("keydown", stop);
  }, []);
  return html`<section class="identity" role="alert" onClick=${() => device.stopIdentifying()}>
    <p>${t("this_is")}</p>
    <p class="identity-name">${server.self ? server.self.name : ""}</p>
  </section>`;
}

/** A translucent black layer, because a page cannot dim the backlight. */
export function Dimmer({ brightness }) {
  if (brightness >= 100) return null;
  const setOpacity = (element) => element && (element.style.opacity = String((100 - brightness) / 100));
  return html`<div class="dimmer" aria-hidden="true" ref=${setOpacity}></div>`;
}
