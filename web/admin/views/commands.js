// Sends commands to one tablet (docs/protocol.md#commands) and shows their results.

import { html, useState } from "../kit.js";
import { call } from "../api.js";
import { invalidate } from "../store.js";
import { Ago, Badge, ErrorText, Icon, Panel, SelectField, TextField, toast, useAction, useList } from "../ui.js";
import { commandStatus } from "../statuses.js";
import { LANGUAGES, t } from "../words.js";

/** The commands of the tablet app; `needs` is the input that a command takes. */
const KINDS = {
  identify: { name: () => t("Identify"), note: () => t("It flashes and shows its name.") },
  reload: { name: () => t("Reload"), note: () => t("It loads its page again.") },
  navigate: { name: () => t("Show an area"), needs: "area" },
  screen_off: { name: () => t("Screen off"), note: () => t("Black until it is touched or told otherwise.") },
  screen_on: { name: () => t("Screen on") },
  brightness: { name: () => t("Brightness"), needs: "percent" },
  speak: { name: () => t("Speak"), needs: "text" },
  configure: { name: () => t("Settings"), needs: "settings" },
  custom: { name: () => t("Another command"), needs: "custom" },
};

const TONES = { pending: "quiet", delivered: "accent", applied: "good", failed: "bad", expired: "warn" };

export function Commands({ client }) {
  const commands = useList("commands", 5000);
  const lockers = useList("lockers");
  const [kind, setKind] = useState("identify");
  const [value, setValue] = useState("");
  const [custom, setCustom] = useState({ type: "", lockerId: "", parameters: "" });
  const [settings, setSettings] = useState({});
  const { needs, note } = KINDS[kind];
  const recent = (commands.value ?? []).filter((command) => command.clientId === client.id).slice(0, 6);
  const sendCommand = useAction(async () => {
    await call("POST", "api/commands", { clientId: client.id, ...commandBody(kind, value, needs === "settings" ? settings : custom) });
    invalidate("commands");
    toast(client.isOnline ? t("Given to {name}", { name: client.name }) : t("{name} is away; the command waits five minutes", { name: client.name }));
  });
  const submit = (event) => {
    event.preventDefault();
    sendCommand.run();
  };
  const choose = (next) => {
    setKind(next);
    setValue(KINDS[next].needs === "percent" ? "80" : "");
    sendCommand.clear();
  };
  return html`<${Panel} title=${t("Command")} of=${commands}>
    <form onSubmit=${submit} class="inline-form">
      <${SelectField} label=${t("What to do")} value=${kind} onInput=${choose} hint=${note?.()} options=${Object.entries(KINDS).map(([key, one]) => [key, one.name()])} />
      ${needs === "area" &&
      html`<${SelectField} label=${t("Area")} value=${value} onInput=${setValue}
        options=${[["", t("choose…")], ...client.assignedAreas.map((area) => [area.id, area.name])]} />`}
      ${needs === "percent" && html`<${TextField} label=${t("Percent")} type="number" min="5" max="100" required value=${value} onInput=${setValue} />`}
      ${needs === "text" && html`<${TextField} label=${t("What to say")} maxlength="500" required value=${value} onInput=${setValue} />`}
      ${needs === "settings" && html`<${Settings} value=${settings} onChange=${setSettings} />`}
      ${needs === "custom" &&
      html`<${TextField} label=${t("Type")} required maxlength="64" value=${custom.type} onInput=${(type) => setCustom({ ...custom, type })} />
        <${SelectField} label=${t("Locker")} value=${custom.lockerId} onInput=${(lockerId) => setCustom({ ...custom, lockerId })}
          options=${[["", t("none")], ...(lockers.value ?? []).map((locker) => [locker.id, locker.id])]} />
        <${TextField} label=${t("Parameters (JSON)")} value=${custom.parameters} onInput=${(parameters) => setCustom({ ...custom, parameters })} class="mono" />`}
      <button class="primary" disabled=${sendCommand.busy || (needs === "area" && !value)}><${Icon} name="command" size=${18} />${t("Give")}</button>
    </form>
    <${ErrorText} error=${sendCommand.error} />
    ${recent.length > 0 &&
    html`<ul class="rows tight outcomes" aria-label=${t("Last commands")} aria-live="polite">
      ${recent.map(
        (command) => html`<li key=${command.id} class="row">
          <span class="row-main"><strong>${Object.hasOwn(KINDS, command.type) ? KINDS[command.type].name() : command.type}</strong>
            <span class="quiet">${command.result?.error ?? command.result?.message ?? ""}</span></span>
          <${Ago} at=${command.createdAt} /><${Badge} tone=${TONES[command.status]}>${commandStatus(command.status)}</${Badge}>
        </li>`,
      )}
    </ul>`}
  </${Panel}>`;
}

/** Inputs for `configure`; settings left unchanged are not sent. */
function Settings({ value, onChange }) {
  const unchanged = ["", t("as it is")];
  const change = (key, read) => (text) => onChange({ ...value, [key]: text === "" ? undefined : read(text) });
  const shown = (key) => (value[key] === undefined ? "" : String(value[key]));
  return html`
    <${SelectField} label=${t("Help button")} value=${shown("help")} onInput=${change("help", (text) => text === "true")} options=${[unchanged, ["true", t("shown")], ["false", t("hidden")]]} />
    <${SelectField} label=${t("Clock after")} value=${shown("saverMinutes")} onInput=${change("saverMinutes", Number)}
      options=${[unchanged, ["0", t("never")], ["1", t("1 minute")], ["5", t("5 minutes")], ["15", t("15 minutes")], ["60", t("1 hour")]]} />
    <${SelectField} label=${t("Colours")} value=${shown("theme")} onInput=${change("theme", String)}
      options=${[unchanged, ["system", t("System")], ["light", t("Light")], ["dark", t("Dark")], ["evening", t("Dark at night")]]} />
    <${SelectField} label=${t("Language")} value=${shown("language")} onInput=${change("language", String)} options=${[unchanged, ...Object.entries(LANGUAGES).map(([code, [name]]) => [code, name])]} />`;
}

function commandBody(kind, value, custom) {
  const { needs } = KINDS[kind];
  if (needs === "area") return { type: kind, parameters: { areaId: value } };
  if (needs === "settings") return { type: kind, parameters: custom };
  if (needs === "percent") return { type: kind, parameters: { level: Number(value) } };
  if (needs === "text") return { type: kind, parameters: { text: value } };
  if (needs !== "custom") return { type: kind };
  let parameters;
  try {
    parameters = custom.parameters.trim() ? JSON.parse(custom.parameters) : undefined;
  } catch {
    throw new Error(t("The parameters are not JSON. Write them as {example}.", { example: '{"key": "value"}' }));
  }
  return { type: custom.type.trim(), lockerId: custom.lockerId || undefined, parameters };
}
