// Dialogs for the person at the tablet: the settings, and the received messages.

import { Badge, Button, Dialog, Field, html, useState } from "../shared/ui.js";
import { storeLanguage } from "../shared/words.js";
import { age, clock, useApp, useNow } from "./frame.js";

const SAVER_MINUTES = [0, 1, 5, 15, 30];
const THEMES = ["system", "light", "dark", "evening"];
/** The name of each language in that language. */
const LANGUAGES = { en: "English", de: "Deutsch" };

function optionElements(values, selected, label) {
  return values.map((value) => html`<option value=${value} selected=${value === selected} key=${value}>${label(value)}</option>`);
}

export function SettingsDialog({ onClose }) {
  const { device, server, t, language } = useApp();
  const { settings } = device;
  const [theme, setTheme] = useState(window.wallcastTheme.chosen());
  const { phase, transport } = server.client.state;
  const isOnline = phase === "online";
  return html`<${Dialog} title=${server.self ? server.self.name : t("settings")} closeLabel=${t("close")} onClose=${onClose}>
    <div class="stack">
      <p>
        <${Badge} kind=${isOnline ? "accent" : "warn"}>${t(isOnline ? "connected" : "not_connected")}<//>
        <span class="soft small after-icon">${isOnline ? t(`by_${transport}`) : ""}</span>
      </p>
      <${Field}
        as="select"
        label=${t("theme")}
        onChange=${(event) => {
          window.wallcastTheme.choose(event.target.value);
          setTheme(event.target.value);
        }}
      >
        ${optionElements(THEMES, theme, (value) => t(`theme_${value}`))}
      <//>
      <${Field}
        as="select"
        label=${t("saver_after")}
        onChange=${(event) => device.configure({ saverMinutes: Number(event.target.value) })}
      >
        ${optionElements(SAVER_MINUTES, settings.saverMinutes, (n) => (n ? t("saver_minutes", { n }) : t("never")))}
      <//>
      <${Field}
        as="select"
        label=${t("language")}
        onChange=${(event) => {
          storeLanguage(event.target.value);
          location.reload();
        }}
      >
        ${optionElements(Object.keys(LANGUAGES), language, (code) => LANGUAGES[code])}
      <//>
      ${device.canFillScreen && html`<${Button} onClick=${() => device.fillScreen()}>${t("fill_screen")}<//>`}
    </div>
  <//>`;
}

/** The received messages, newest first. */
export function MessagesDialog({ onClose }) {
  const { messages, server, t, language } = useApp();
  const now = useNow(10000);
  const ownId = server.client.words && server.client.words.clientId;
  const shown = messages.all.filter(({ from }) => !(from && from.clientId === ownId)).reverse();
  return html`<${Dialog} title=${t("messages")} closeLabel=${t("close")} onClose=${onClose}>
    ${shown.length === 0 && html`<p class="soft">${t("no_messages")}</p>`}
    <ul class="letters">
      ${shown.map((message) => {
        const sent = Date.parse(message.createdAt);
        return html`<li key=${message.id}>
          <p>${message.body}</p>
          <p class="soft small">${clock(language, sent)} · ${age(t, sent, now)}</p>
        </li>`;
      })}
    </ul>
  <//>`;
}
