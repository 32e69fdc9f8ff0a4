// What whoever stands before the tablet may choose, and what it says of itself.

import { Badge, Button, Dialog, Field, html, useState } from "../shared/ui.js";
import { prefer } from "../shared/words.js";
import { age, clock, useApp, useNow } from "./frame.js";

const SAVER_MINUTES = [0, 1, 5, 15, 30];
const THEMES = ["system", "light", "dark", "evening"];
/** Each in its own words. */
const LANGUAGES = { en: "English", de: "Deutsch" };

function choices(values, selected, words) {
  return values.map((value) => html`<option value=${value} selected=${value === selected} key=${value}>${words(value)}</option>`);
}

export function SettingsDialog({ onClose }) {
  const { device, house, say, language } = useApp();
  const { settings } = device;
  const [theme, setTheme] = useState(window.wallcastTheme.chosen());
  const { phase, transport } = house.client.state;
  const isOnline = phase === "online";
  return html`<${Dialog} title=${house.self ? house.self.name : say("settings")} closeLabel=${say("close")} onClose=${onClose}>
    <div class="stack">
      <p>
        <${Badge} kind=${isOnline ? "accent" : "warn"}>${say(isOnline ? "connected" : "not_connected")}<//>
        <span class="soft small after-icon">${isOnline ? say(`by_${transport}`) : ""}</span>
      </p>
      <${Field}
        as="select"
        label=${say("theme")}
        onChange=${(event) => {
          window.wallcastTheme.choose(event.target.value);
          setTheme(event.target.value);
        }}
      >
        ${choices(THEMES, theme, (one) => say(`theme_${one}`))}
      <//>
      <${Field}
        as="select"
        label=${say("saver_after")}
        onChange=${(event) => device.configure({ saverMinutes: Number(event.target.value) })}
      >
        ${choices(SAVER_MINUTES, settings.saverMinutes, (n) => (n ? say("saver_minutes", { n }) : say("never")))}
      <//>
      <${Field}
        as="select"
        label=${say("language")}
        onChange=${(event) => {
          prefer(event.target.value);
          location.reload();
        }}
      >
        ${choices(Object.keys(LANGUAGES), language, (one) => LANGUAGES[one])}
      <//>
      ${device.canFillScreen && html`<${Button} onClick=${() => device.fillScreen()}>${say("fill_screen")}<//>`}
    </div>
  <//>`;
}

/** The messages that came, newest first. */
export function MessagesDialog({ onClose }) {
  const { messages, house, say, language } = useApp();
  const now = useNow(10000);
  const own = house.client.words && house.client.words.clientId;
  const shown = messages.all.filter(({ from }) => !(from && from.clientId === own)).reverse();
  return html`<${Dialog} title=${say("messages")} closeLabel=${say("close")} onClose=${onClose}>
    ${shown.length === 0 && html`<p class="soft">${say("no_messages")}</p>`}
    <ul class="letters">
      ${shown.map((message) => {
        const sent = Date.parse(message.createdAt);
        return html`<li key=${message.id}>
          <p>${message.body}</p>
          <p class="soft small">${clock(language, sent)} · ${age(say, sent, now)}</p>
        </li>`;
      })}
    </ul>
  <//>`;
}
