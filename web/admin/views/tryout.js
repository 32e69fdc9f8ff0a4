// A test client: connects with any token and dialect, shows what it receives, and sends messages.

import { html, useEffect, useRef, useState } from "../kit.js";
import { BASE } from "../api.js";
import { dialects } from "../dialects.js";
import { Badge, Code, Empty, ErrorText, Head, Icon, Panel, SelectField, TextField, useAction } from "../ui.js";
import { clockTime, t } from "../words.js";
import { useAbout } from "./certificate.js";

const MAX_LINES = 300;
const MESSAGES = {
  ping: {},
  get_states: {},
  subscribe_room: { room_id: 1 },
  join_room: { room: "kiosk-1" },
  help_request: { category: "access_issue", note: "" },
  call_service: { entityId: "light.kitchen", service: "toggle", data: {} },
  message_status: { messageId: "", status: "read" },
  typing: { conversationId: "", isTyping: true },
  command_result: { commandId: "", success: true },
  "join-organization": { organizationId: "" },
  ack: { id: 0 },
};

export function TryOut() {
  const { about } = useAbout();
  const [token, setToken] = useState("");
  const [dialect, setDialect] = useState("websocket");
  const [path, setPath] = useState("/ws");
  const [state, setState] = useState({ phase: "idle" });
  const [lines, setLines] = useState([]);
  const [type, setType] = useState("ping");
  const [data, setData] = useState("{}");
  const client = useRef();
  const next = useRef(1);
  const note = (kind, name, value) =>
    setLines((before) => [...before.slice(-MAX_LINES), { key: next.current++, at: Date.now(), kind, name, value }]);
  useEffect(() => () => client.current?.close(), []);
  const isIngress = about?.isIngress;
  const open = useAction(async () => {
    client.current?.close();
    setLines([]);
    setState({ phase: "connecting" });
    try {
      client.current = await dialects[dialect].open({
        base: BASE,
        token: token.trim(),
        path,
        onState: setState,
        onMessage: (name, value) => note("in", name, value),
      });
    } catch (error) {
      setState({ phase: "idle" });
      throw error;
    }
  });
  const close = () => {
    client.current?.close();
    client.current = undefined;
    setState({ phase: "idle" });
  };
  const sendMessage = useAction(async () => {
    let value;
    try {
      value = JSON.parse(data);
    } catch {
      throw new Error(t("What it says is not JSON. Write it as {example}.", { example: '{"key": "value"}' }));
    }
    note("out", type, value);
    const answer = await client.current.send(type.trim(), value);
    if (answer !== undefined) note("answer", type, answer);
  });
  const isOpen = state.phase === "online";
  const begin = (event) => {
    event.preventDefault();
    open.run();
  };
  const submitMessage = (event) => {
    event.preventDefault();
    sendMessage.run();
  };
  const choose = (name) => {
    setType(name);
    if (name in MESSAGES) setData(JSON.stringify(MESSAGES[name]));
  };
  return html`<${Head} title=${t("Try it out")} lead=${t("Connect as a tablet, a person or an admin would, in any dialect, and see what comes.")} />
    <div class="columns narrow-left">
      <div class="stack">
        <${Panel} title=${t("Connect")}>
          <form onSubmit=${begin}>
            ${isIngress
              ? html`<p class="warning">${t("Here Home Assistant says who you are, so you connect as yourself. To try another token, open this page at its own address:")} <a href=${`${about.publicUrl}/admin/#tryout`} target="_blank" rel="noopener">${about.publicUrl}/admin/</a></p>`
              : html`<${TextField} label=${t("Token")} type="password" autocomplete="off" spellcheck="false" value=${token} onInput=${setToken} hint=${t("Empty: you yourself. It is not kept.")} />`}
            <${SelectField} label=${t("Dialect")} value=${dialect} onInput=${(one) => {
              setDialect(one);
              setPath(dialects[one].paths[0]);
            }} options=${Object.entries(dialects).map(([key, one]) => [key, one.name])} />
            ${dialects[dialect].paths.length > 1 && html`<${SelectField} label=${t("Where")} value=${path} onInput=${setPath} options=${dialects[dialect].paths.map((one) => [one, one])} />`}
            <${ErrorText} error=${open.error} />
            <div class="buttons start">
              <button class="primary" disabled=${open.busy || (state.phase !== "idle" && state.phase !== "ended")}>${t("Connect")}</button>
              <button type="button" disabled=${state.phase === "idle"} onClick=${close}>${t("Disconnect")}</button>
            </div>
            <p role="status"><${Badge} tone=${isOpen ? "good" : state.phase === "ended" ? "bad" : "quiet"}>${stateText(state)}</${Badge}></p>
          </form>
        </${Panel}>
        <${Panel} title=${t("Say something")}>
          <form onSubmit=${submitMessage}>
            <${TextField} label=${t("Type")} list="messages" class="mono" value=${type} onInput=${choose} required />
            <datalist id="messages">${Object.keys(MESSAGES).map((name) => html`<option value=${name} />`)}</datalist>
            <${TextField} label=${t("What it says (JSON)")} multiline rows="4" class="mono" value=${data} onInput=${setData} />
            <${ErrorText} error=${sendMessage.error} />
            <button class="primary" disabled=${!isOpen || sendMessage.busy}><${Icon} name="send" size=${18} />${t("Send")}</button>
          </form>
        </${Panel}>
      </div>
      <${Panel} title=${t("What comes")} actions=${lines.length > 0 && html`<button type="button" class="small" onClick=${() => setLines([])}>${t("Clear")}</button>`}>
        ${lines.length === 0
          ? html`<${Empty} icon="command" title=${t("Nothing yet")}><p>${t("Connect, and every message appears here as it came.")}</p></${Empty}>`
          : html`<ol class="log" aria-label=${t("Messages")}>${[...lines].reverse().map((line) => html`<${Line} key=${line.key} line=${line} />`)}</ol>`}
      </${Panel}>
    </div>`;
}

function stateText({ phase, reason, transport }) {
  if (phase === "online") return transport ? t("Connected by {transport}", { transport }) : t("Connected");
  if (phase === "ended") return t("Ended: {reason}", { reason: reason ?? "" });
  return { idle: t("Not connected"), connecting: t("Connecting…"), waiting: t("Comes back by itself…") }[phase] ?? phase;
}

function Line({ line }) {
  const [isOpen, setOpen] = useState(false);
  const text = JSON.stringify(line.value);
  const arrows = { in: "←", out: "→", answer: "↩" };
  const words = { in: t("came"), out: t("sent"), answer: t("answer") };
  return html`<li>
    <button type="button" class="log-row" aria-expanded=${isOpen ? "true" : "false"} onClick=${() => setOpen(!isOpen)}>
      <time class="mono quiet">${clockTime(line.at)}</time>
      <span class=${`mono arrow ${line.kind}`} role="img" aria-label=${words[line.kind]}>${arrows[line.kind]}</span>
      <span class="mono log-type">${line.name}</span><span class="log-words mono quiet">${text?.slice(0, 160)}</span>
    </button>
    ${isOpen && html`<div class="payload"><${Code} label=${line.name} text=${JSON.stringify(line.value, undefined, 2)} /></div>`}
  </li>`;
}
