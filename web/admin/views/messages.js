// Conversations with tablets and users, and messages to everyone (docs/protocol.md#messages).

import { html, useEffect, useRef, useState } from "../kit.js";
import { call } from "../api.js";
import { otherSide, partyName } from "../describe.js";
import { invalidate } from "../store.js";
import { send as sendToServer } from "../link.js";
import { Ago, Badge, Confirm, Empty, ErrorText, Head, Icon, Loaded, SelectField, TextField, toast, useAction, useEvents, useList } from "../ui.js";
import { messageStatus } from "../statuses.js";
import { fullTime, shortTime, t } from "../words.js";

export function Messages({ arg: id }) {
  const conversations = useList("conversations");
  useList("clients");
  const isNew = id === "new";
  const open = conversations.value?.find((conversation) => conversation.id === id);
  return html`<${Head} title=${t("Messages")}><a class="button primary" href="#messages/new"><${Icon} name="add" size=${18} />${t("Write a message")}</a></${Head}>
    <div class=${`split ${id ? "inside" : ""}`}>
      <section class="panel list" aria-label=${t("Conversations")} data-stale=${conversations.isStale ? "yes" : null}>
        <${Loaded} of=${conversations}>
          ${conversations.value?.length === 0 &&
          html`<${Empty} icon="message" title=${t("There is no message yet")}>
            <p>${t("Write to one tablet or to all: it is shown full screen until somebody has read it.")}</p></${Empty}>`}
          <ul class="rows tight">
            ${conversations.value?.map(
              (conversation) => html`<li key=${conversation.id}>
                <a class="row" href=${`#messages/${encodeURIComponent(conversation.id)}`} aria-current=${conversation.id === id ? "true" : null}>
                  <span class="row-main"><strong>${otherSide(conversation)}</strong><span class="quiet one-line">${conversation.lastMessage?.body ?? ""}</span></span>
                  <small class="quiet">${shortTime(conversation.updatedAt)}</small>
                  ${conversation.unread > 0 && html`<${Badge} tone="accent">${conversation.unread}</${Badge}>`}
                </a></li>`,
            )}
          </ul>
        </${Loaded}>
      </section>
      <section class="panel thread" aria-label=${open ? otherSide(open) : t("Message")}>
        ${id && html`<a class="back narrow-only" href="#messages"><${Icon} name="back" size=${16} />${t("Conversations")}</a>`}
        ${isNew
          ? html`<${Compose} />`
          : open
            ? html`<${Thread} key=${open.id} conversation=${open} />`
            : html`<${Empty} icon="message" title=${t("Choose a conversation, or write a message")} />`}
      </section>
    </div>`;
}

const LEVELS = () => [["info", t("Information")], ["warning", t("Warning")], ["urgent", t("Urgent")]];

function Compose() {
  const clients = useList("clients");
  const [form, set] = useState({ to: "all", user: "", platform: "wallcast", body: "", level: "info", ttl: "" });
  const change = (key) => (value) => set({ ...form, [key]: value });
  const send = useAction(async () => {
    const to = form.to === "all" ? { all: true } : form.to === "user" ? { userId: form.user.trim() } : { clientId: form.to };
    const message = await call("POST", "api/messages", {
      to,
      body: form.body,
      level: form.level,
      platform: form.platform.trim() || undefined,
      ttlSeconds: form.ttl ? Number(form.ttl) : undefined,
    });
    invalidate("conversations");
    toast(t("The message was sent"));
    location.hash = `#messages/${encodeURIComponent(message.conversationId)}`;
  });
  const submit = (event) => {
    event.preventDefault();
    send.run();
  };
  const n = clients.value?.filter((client) => client.isActive).length ?? 0;
  return html`<h2>${t("Write a message")}</h2>
    <form onSubmit=${submit}>
      <${SelectField} label=${t("To")} value=${form.to} onInput=${change("to")} hint=${form.to === "all" ? t("{n} tablets, and everybody who is signed in, will be told.", { n }) : undefined}
        options=${[["all", t("Everyone")], ["user", t("A person…")], ...(clients.value ?? []).map((client) => [client.id, client.name])]} />
      ${form.to === "user" && html`<${TextField} label=${t("User id")} required value=${form.user} onInput=${change("user")} hint=${t("Any id will do; a person needs no account.")} />`}
      <${TextField} label=${t("Message")} multiline rows="5" required maxlength="4000" value=${form.body} onInput=${change("body")} error=${send.error?.field === "body" ? send.error.message : undefined} />
      <div class="field-row">
        <${SelectField} label=${t("Level")} value=${form.level} onInput=${change("level")} options=${LEVELS()} />
        <${SelectField} label=${t("Shown for")} value=${form.ttl} onInput=${change("ttl")}
          options=${[["", t("until it is read")], ["600", t("10 minutes")], ["3600", t("1 hour")], ["86400", t("1 day")]]} />
        <${TextField} label=${t("Platform")} value=${form.platform} onInput=${change("platform")} maxlength="32" />
      </div>
      ${send.error?.field !== "body" && html`<${ErrorText} error=${send.error} />`}
      <button class="primary" disabled=${send.busy || !form.body.trim()}><${Icon} name="send" size=${18} />${t("Send")}</button>
    </form>`;
}

function Thread({ conversation }) {
  const [messages, setMessages] = useState();
  const [problem, setProblem] = useState();
  const [body, setBody] = useState("");
  const [typing, setTyping] = useState();
  const [older, setOlder] = useState();
  const end = useRef();
  const lastTypingAt = useRef(0);
  const base = `api/conversations/${encodeURIComponent(conversation.id)}/messages`;
  const load = async () => {
    try {
      const answer = await call("GET", `${base}?limit=50`);
      setMessages((before) => merged(before, answer.messages));
      setOlder((cursor) => cursor ?? answer.nextCursor);
      const unread = answer.messages.filter((message) => message.to.admin && message.status !== "read");
      for (const message of unread) await call("PATCH", `api/messages/${encodeURIComponent(message.id)}`, { status: "read" });
      if (unread.length) invalidate("conversations", "unread");
    } catch (error) {
      setProblem(error);
    }
  };
  useEffect(() => {
    load();
  }, []);
  useEvents(({ type, data }) => {
    const conversationId = data?.conversationId ?? data?.conversation?.id ?? data?.message?.conversationId;
    if (conversationId !== conversation.id && type !== "resync_required" && type !== "connection") return;
    if (type === "typing") {
      setTyping(data.isTyping ? Date.now() : undefined);
      return;
    }
    load();
  });
  useEffect(() => end.current?.scrollIntoView({ block: "nearest" }), [messages?.length]);
  useEffect(() => {
    if (!typing) return undefined;
    const timer = setTimeout(() => setTyping(undefined), 8000);
    return () => clearTimeout(timer);
  }, [typing]);
  const more = useAction(async () => {
    const answer = await call("GET", `${base}?limit=50&cursor=${older}`);
    setMessages((before) => merged(before, answer.messages));
    setOlder(answer.nextCursor);
  });
  const send = useAction(async () => {
    await call("POST", "api/messages", { conversationId: conversation.id, body });
    setBody("");
    sendToServer("typing", { conversationId: conversation.id, isTyping: false });
    await load();
    invalidate("conversations");
  });
  const write = (text) => {
    setBody(text);
    if (Date.now() - lastTypingAt.current < 3000) return;
    lastTypingAt.current = Date.now();
    sendToServer("typing", { conversationId: conversation.id, isTyping: true });
  };
  const submit = (event) => {
    event.preventDefault();
    send.run();
  };
  const shown = [...(messages ?? [])].reverse();
  const user = conversation.participants.find((side) => side.userId)?.userId;
  return html`<div class="thread-head"><h2>${otherSide(conversation)}</h2><span class="quiet">${conversation.platform}</span>${user && html`<${Person} id=${user} />`}</div>
    <${ErrorText} error=${problem} />
    ${older && html`<button type="button" class="link" disabled=${more.busy} onClick=${() => more.run()}>${t("Older messages")}</button>`}
    <ol class="bubbles" tabindex="0" aria-label=${t("Messages")}>
      ${shown.map(
        (message) => html`<li key=${message.id} class=${message.from.admin ? "mine" : "theirs"}>
          <p class=${`bubble ${message.level}`}>${message.body}</p>
          <small class="quiet">${message.from.admin ? "" : `${partyName(message.from)} · `}<time datetime=${message.createdAt} title=${fullTime(message.createdAt)}>${shortTime(message.createdAt)}</time>${message.from.admin ? ` · ${messageStatus(message.status)}` : ""}${message.level !== "info" ? ` · ${message.level}` : ""}</small>
        </li>`,
      )}
      <li ref=${end} class="end" aria-hidden="true"></li>
    </ol>
    <p class="quiet typing" role="status">${typing ? t("{name} is writing", { name: otherSide(conversation) }) : ""}</p>
    <form class="inline-form" onSubmit=${submit}>
      <${TextField} label=${t("Answer")} value=${body} onInput=${write} required maxlength="4000" error=${send.error?.message} />
      <button class="primary" disabled=${send.busy || !body.trim()}><${Icon} name="send" size=${18} />${t("Send")}</button>
    </form>`;
}

/** Merges two lists by message id, newest message first; `newer` wins. */
function merged(before, newer) {
  const known = new Map((before ?? []).map((message) => [message.id, message]));
  for (const message of newer) known.set(message.id, message);
  return [...known.values()].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}

/** A user's presence, and a button that closes their connections. */
function Person({ id }) {
  const [person, set] = useState();
  const [isAsking, setAsking] = useState(false);
  const load = () => call("GET", `api/users/${encodeURIComponent(id)}`).then(set, () => set(undefined));
  useEffect(() => {
    load();
  }, [id]);
  useEvents((event) => {
    if (event.type === "presence" && event.data.userId === id) load();
  });
  if (!person) return null;
  return html`<${Badge} tone=${person.isOnline ? "good" : "quiet"}>${person.isOnline ? t("Online") : html`${t("seen")} <${Ago} at=${person.lastSeenAt} />`}</${Badge}>
    ${person.isOnline && html`<button type="button" class="small" onClick=${() => setAsking(true)}>${t("Disconnect…")}</button>`}
    ${isAsking &&
    html`<${Confirm} danger title=${t("Disconnect {name}?", { name: id })} text=${t("Its connections are closed. It may come back at once, and usually does within seconds.")} again=${t("Disconnect it now?")} action=${t("Disconnect")}
      onConfirm=${() => call("POST", `api/users/${encodeURIComponent(id)}/disconnect`, {})} onClose=${() => setAsking(false)} />`}`;
}
