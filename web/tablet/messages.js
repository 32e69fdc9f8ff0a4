// Messages for this tablet (docs/protocol.md#messages). Unconfirmed ones cover the screen, see overlays.js.

import { Model } from "./model.js";

const MAX_MESSAGES = 50;

export class Messages extends Model {
  constructor(client) {
    super();
    this.client = client;
    this.all = [];
    this.unread = 0;
    client.on("connection", () => this._load());
    client.on("new_message", ({ message }) => this._upsert(message));
    client.on("message_status_update", ({ messageId, status }) => this._setStatus(messageId, status));
    client.on("unread_count_update", ({ totalUnread }) => this._set({ unread: totalUnread }));
  }

  /** Messages that nobody has confirmed yet, oldest first. */
  get unconfirmed() {
    return this.all.filter((message) => this._isToMe(message) && message.status !== "read" && !this._isExpired(message));
  }

  /** Marks a message as read. It disappears at once, and reappears if the server could not be reached. */
  async confirm(message) {
    const before = message.status;
    this._setStatus(message.id, "read");
    try {
      await this.client.send("message_status", { messageId: message.id, status: "read" });
    } catch (error) {
      if (error.code === "offline" || error.code === "timeout") this._setStatus(message.id, before);
      throw error;
    }
  }

  _isToMe({ from, to }) {
    const ownId = this.client.words && this.client.words.clientId;
    return Boolean(to && (to.all || to.clientId === ownId) && !(from && from.clientId === ownId));
  }

  _isExpired({ expiresAt }) {
    return Boolean(expiresAt && Date.parse(expiresAt) < this.client.now());
  }

  _load() {
    this.client
      .request("GET", `api/messages?limit=${MAX_MESSAGES}`)
      .then(({ messages }) => this._set({ all: sortByTime(messages) }))
      .catch(() => {});
    this.client
      .request("GET", "api/messages/unread")
      .then(({ totalUnread }) => this._set({ unread: totalUnread }))
      .catch(() => {});
  }

  _upsert(message) {
    const others = this.all.filter(({ id }) => id !== message.id);
    this._set({ all: sortByTime(others.concat(message)).slice(-MAX_MESSAGES) });
  }

  _setStatus(id, status) {
    this._set({ all: this.all.map((message) => (message.id === id ? Object.assign({}, message, { status }) : message)) });
  }
}

const sortByTime = (messages) =>
  messages.slice().sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
