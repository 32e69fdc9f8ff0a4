// Messages to this tablet: those that nobody has confirmed yet stand before everything else.

import { Model } from "./model.js";

const SHOWN = 50;

export class Messages extends Model {
  constructor(client) {
    super();
    this.client = client;
    this.all = [];
    this.unread = 0;
    client.on("connection", () => this._load());
    client.on("new_message", ({ message }) => this._put(message));
    client.on("message_status_update", ({ messageId, status }) => this._mark(messageId, status));
    client.on("unread_count_update", ({ totalUnread }) => this._set({ unread: totalUnread }));
  }

  /** Those to be confirmed, the oldest first. */
  get waiting() {
    return this.all.filter((message) => this._isToMe(message) && message.status !== "read" && !this._isOver(message));
  }

  /** Says that somebody has read it; it goes at once and comes back if the house did not hear. */
  async confirm(message) {
    const before = message.status;
    this._mark(message.id, "read");
    try {
      await this.client.send("message_status", { messageId: message.id, status: "read" });
    } catch (error) {
      if (error.code === "offline" || error.code === "timeout") this._mark(message.id, before);
      throw error;
    }
  }

  _isToMe({ from, to }) {
    const own = this.client.words && this.client.words.clientId;
    return Boolean(to && (to.all || to.clientId === own) && !(from && from.clientId === own));
  }

  _isOver({ expiresAt }) {
    return Boolean(expiresAt && Date.parse(expiresAt) < this.client.now());
  }

  _load() {
    this.client
      .request("GET", `api/messages?limit=${SHOWN}`)
      .then(({ messages }) => this._set({ all: inTime(messages) }))
      .catch(() => {});
    this.client
      .request("GET", "api/messages/unread")
      .then(({ totalUnread }) => this._set({ unread: totalUnread }))
      .catch(() => {});
  }

  _put(message) {
    const others = this.all.filter(({ id }) => id !== message.id);
    this._set({ all: inTime(others.concat(message)).slice(-SHOWN) });
  }

  _mark(id, status) {
    this._set({ all: this.all.map((one) => (one.id === id ? Object.assign({}, one, { status }) : one)) });
  }
}

const inTime = (messages) =>
  messages.slice().sort((one, other) => Date.parse(one.createdAt) - Date.parse(other.createdAt));
