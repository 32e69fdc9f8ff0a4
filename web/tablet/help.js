// Help requests (docs/protocol.md#help-requests): the button's dialog, and the status of the latest request.

import { Badge, Button, Dialog, Field, html, toast, useState } from "../shared/ui.js";
import { clock, errorText, useApp } from "./frame.js";
import { Model } from "./model.js";

/** Polling interval while a request is open. */
const POLL_MS = 5000;
const CATEGORIES = ["broken", "hand", "question", "other"];

export class Help extends Model {
  constructor(client) {
    super();
    this.client = client;
    this.latest = null;
    client.on("connection", () => this._refresh());
    setInterval(() => this.isOpen && this._refresh(), POLL_MS);
  }

  get isOpen() {
    return Boolean(this.latest && this.latest.status !== "resolved");
  }

  async request(category, note) {
    await this.client.send("help_request", note ? { category, note } : { category });
    await this._refresh();
  }

  _refresh() {
    return this.client
      .request("GET", "api/help?limit=1")
      .then(({ helpRequests }) => {
        this._set({ latest: helpRequests[0] || null });
      })
      .catch(() => {});
  }
}

/** The status of the latest request. */
function RequestStatus({ request }) {
  const { t, language } = useApp();
  const kind = request.status === "open" ? "warn" : "accent";
  return html`<div class="standing">
    <p class="standing-words">${t(`help_${request.status}`)}</p>
    <p class="soft">
      ${CATEGORIES.includes(request.category) ? t(`help_${request.category}`) : request.category}
      ${request.note ? ` · ${request.note}` : ""}
    </p>
    <${Badge} kind=${kind}>${clock(language, Date.parse(request.created_at))}<//>
  </div>`;
}

export function HelpDialog({ onClose }) {
  const { help, t } = useApp();
  const [category, setCategory] = useState(CATEGORIES[0]);
  const [note, setNote] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [asksAgain, setAsksAgain] = useState(false);
  const isWaiting = help.isOpen && !asksAgain;
  const submit = async () => {
    setBusy(true);
    try {
      await help.request(category, note.trim());
      setAsksAgain(false);
    } catch (error) {
      toast(errorText(t, error), "danger");
    }
    setBusy(false);
  };
  const actions = isWaiting
    ? html`<${Button} onClick=${() => setAsksAgain(true)}>${t("help_again")}<//><${Button} kind="primary" onClick=${onClose}>${t("done")}<//>`
    : html`<${Button} kind="primary" isLarge isBusy=${isBusy} onClick=${submit}>${t("help_send")}<//>`;
  return html`<${Dialog} title=${t(isWaiting ? "help_asked" : "help_title")} closeLabel=${t("close")} onClose=${onClose} actions=${actions}>
    ${isWaiting
      ? html`<${RequestStatus} request=${help.latest} />`
      : html`<div class="stack">
          <fieldset>
            <legend class="for-readers">${t("help_title")}</legend>
            <ul class="options">
              ${CATEGORIES.map(
                (value) => html`<li key=${value}>
                  <button type="button" aria-pressed=${String(value === category)} onClick=${() => setCategory(value)}>
                    ${t(`help_${value}`)}
                  </button>
                </li>`,
              )}
            </ul>
          </fieldset>
          <${Field} as="textarea" label=${t("help_note")} maxlength="1000" rows="2" value=${note} onInput=${(event) => setNote(event.target.value)} />
        </div>`}
  <//>`;
}
