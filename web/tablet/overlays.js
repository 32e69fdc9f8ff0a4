// What stands before everything else: a message, the clock of an idle tablet, darkness, its name.

import { Button, Icon, html, toast, useEffect, useFocusTrap, useState } from "../shared/ui.js";
import { age, bareClock, clock, useApp, useNow, why } from "./frame.js";
import { ICONS } from "./icons.js";

const LEVELS = { warning: "warn", error: "danger", critical: "danger", urgent: "danger" };

/** The oldest message that nobody has confirmed. */
export function MessageOverlay({ message, count }) {
  const { messages, say, language } = useApp();
  const box = useFocusTrap();
  const [isBusy, busy] = useState(false);
  const now = useNow(10000);
  const confirm = async () => {
    busy(true);
    try {
      await messages.confirm(message);
    } catch (error) {
      toast(why(say, error), "danger");
    }
    busy(false);
  };
  const sent = Date.parse(message.createdAt);
  return html`<section class=${`message ${LEVELS[message.level] || ""}`} role="alertdialog" aria-modal="true" aria-labelledby="message-title" aria-describedby="message-body" tabindex="-1" ref=${box}>
    <div class="message-sheet">
      <p class="message-from" id="message-title">
        ${message.from && message.from.userId ? message.from.userId : say("from_house")}
        <span class="soft"> · ${clock(language, sent)} · ${age(say, sent, now)}</span>
      </p>
      <p class=${message.body.length > 120 ? "message-body is-long" : "message-body"} id="message-body">${message.body}</p>
      <div class="message-actions">
        <${Button} kind="primary" isLarge isBusy=${isBusy} data-autofocus onClick=${confirm}>${say("got_it")}<//>
        ${count > 1 && html`<p class="soft">${say("more_messages", { n: count - 1 })}</p>`}
      </div>
    </div>
  </section>`;
}

/** A clock that wanders slowly, so that it burns into no screen. */
export function Screensaver() {
  const { house, messages, language, say } = useApp();
  const now = useNow(1000);
  const minute = Math.floor(now / 60000);
  const place = { x: Math.sin(minute * 2.4) * 7, y: Math.cos(minute * 1.7) * 7 };
  const put = (element) => element && (element.style.transform = `translate(${place.x}vw, ${place.y}vh)`);
  const date = new Date(now).toLocaleDateString(language, { weekday: "long", day: "numeric", month: "long" });
  return html`<section class="saver" aria-label=${say("saver")}>
    <div class="saver-words" ref=${put}>
      <p class="saver-clock numbers">${bareClock(language, now)}</p>
      <p class="saver-date">${date}</p>
      ${messages.unread > 0 && html`<p class="saver-note">${say("unread", { n: messages.unread })}</p>`}
      ${house.isStale && html`<p class="saver-note"><${Icon} path=${ICONS.offline} />${say("not_connected")}</p>`}
    </div>
  </section>`;
}

/** Nothing at all, until somebody touches it. */
export function Darkness() {
  const { say } = useApp();
  return html`<section class="darkness" aria-label=${say("screen_is_off")}></section>`;
}

/** Which tablet this is, for whoever looks for it. */
export function Identity() {
  const { house, device, say } = useApp();
  useEffect(() => {
    const stop = (event) => event.key === "Escape" && device.stopIdentifying();
    window.addEventListener("keydown", stop);
    return () => window.removeEventListener("keydown", stop);
  }, []);
  return html`<section class="identity" role="alert" onClick=${() => device.stopIdentifying()}>
    <p>${say("this_is")}</p>
    <p class="identity-name">${house.self ? house.self.name : ""}</p>
  </section>`;
}

/** A page cannot dim the backlight; it can dim itself. */
export function Veil({ brightness }) {
  if (brightness >= 100) return null;
  const put = (element) => element && (element.style.opacity = String((100 - brightness) / 100));
  return html`<div class="dimmer" aria-hidden="true" ref=${put}></div>`;
}
