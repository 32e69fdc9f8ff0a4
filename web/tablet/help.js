// Asking for help, and seeing that somebody comes.

import { Badge, Button, Dialog, Field, html, toast, useState } from "../shared/ui.js";
import { clock, useApp, why } from "./frame.js";
import { Model } from "./model.js";

/** While a request is open, how often the tablet looks what became of it. */
const LOOK_MS = 5000;
const CATEGORIES = ["broken", "hand", "question", "other"];

export class Help extends Model {
  constructor(client) {
    super();
    this.client = client;
    this.latest = null;
    client.on("connection", () => this._look());
    setInterval(() => this.isOpen && this._look(), LOOK_MS);
  }

  get isOpen() {
    return Boolean(this.latest && this.latest.status !== "resolved");
  }

  async ask(category, note) {
    await this.client.send("help_request", note ? { category, note } : { category });
    await this._look();
  }

  _look() {
    return this.client
      .request("GET", "api/help?limit=1")
      .then(({ helpRequests }) => {
        this._set({ latest: helpRequests[0] || null });
      })
      .catch(() => {});
  }
}

/** What is being done about the last request. */
function Standing({ request }) {
  const { say, language } = useApp();
  const kind = request.status === "open" ? "warn" : "accent";
  return html`<div class="standing">
    <p class="standing-words">${say(`help_${request.status}`)}</p>
    <p class="soft">
      ${CATEGORIES.includes(request.category) ? say(`help_${request.category}`) : request.category}
      ${request.note ? ` · ${request.note}` : ""}
    </p>
    <${Badge} kind=${kind}>${clock(language, Date.parse(request.created_at))}<//>
  </div>`;
}

export function HelpDialog({ onClose }) {
  const { help, say } = useApp();
  const [category, choose] = useState(CATEGORIES[0]);
  const [note, write] = useState("");
  const [isBusy, busy] = useState(false);
  const [asksAgain, again] = useState(false);
  const isWaiting = help.isOpen && !asksAgain;
  const ask = async () => {
    busy(true);
    try {
      await help.ask(category, note.trim());
      again(false);
    } catch (error) {
      toast(why(say, error), "danger");
    }
    busy(false);
  };
  const actions = isWaiting
    ? html`<${Button} onClick=${() => again(true)}>${say("help_again")}<//><${Button} kind="primary" onClick=${onClose}>${say("done")}<//>`
    : html`<${Button} kind="primary" isLarge isBusy=${isBusy} onClick=${ask}>${say("help_send")}<//>`;
  return html`<${Dialog} title=${say(isWaiting ? "help_asked" : "help_title")} closeLabel=${say("close")} onClose=${onClose} actions=${actions}>
    ${isWaiting
      ? html`<${Standing} request=${help.latest} />`
      : html`<div class="stack">
          <fieldset>
            <legend class="for-readers">${say("help_title")}</legend>
            <ul class="options">
              ${CATEGORIES.map(
                (one) => html`<li key=${one}>
                  <button type="button" aria-pressed=${String(one === category)} onClick=${() => choose(one)}>
                    ${say(`help_${one}`)}
                  </button>
                </li>`,
              )}
            </ul>
          </fieldset>
          <${Field} as="textarea" label=${say("help_note")} maxlength="1000" rows="2" value=${note} onInput=${(event) => write(event.target.value)} />
        </div>`}
  <//>`;
}
