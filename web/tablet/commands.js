// Runs the commands that admins send to this tablet (docs/protocol.md#commands). Each command id runs
// once; the result goes back to the server as `command_result`.
//
// `parameters` by type: identify none; reload none; navigate {areaId} or {area: NAME}; screen_off none;
// screen_on none; brightness {level} 5 to 100; speak {text, language?}; configure {help?, saverMinutes?,
// theme?, language?}. Types are case-insensitive and may use `-` for `_`.

import { storeLanguage } from "../shared/words.js";

const KEY = "wallcast.commands";
const MAX_REMEMBERED = 100;
const THEMES = ["system", "light", "dark", "evening"];

export class Commands {
  /** `app` is `{server, device, language, show(areaId)}`. */
  constructor(client, app, storage) {
    this.client = client;
    this.app = app;
    this._storage = storage;
    this._done = load(storage);
    client.on("command", (command) => this._onCommand(command));
  }

  async _onCommand(command) {
    if (this._done.includes(command.commandId)) return;
    if (Date.parse(command.expiresAt) < this.client.now()) return;
    this._remember(command.commandId);
    const handler = HANDLERS.get(normalize(command.type));
    let result;
    try {
      if (!handler) throw new Error(`This tablet knows no command ${command.type}`);
      const message = await handler(this.app, command.parameters || {});
      result = { success: true, message };
    } catch (error) {
      result = { success: false, error: error.message };
    }
    await this._report(Object.assign({ commandId: command.commandId }, result));
    if (result.success && normalize(command.type) === "reload") location.reload();
  }

  /** Sends the result, and retries with backoff while the server is unreachable. */
  async _report(result) {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      try {
        return await this.client.send("command_result", result);
      } catch ({ code }) {
        if (code !== "offline" && code !== "timeout") return undefined;
        await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** attempt));
      }
    }
    return undefined;
  }

  _remember(id) {
    this._done = this._done.concat(id).slice(-MAX_REMEMBERED);
    try {
      this._storage.setItem(KEY, JSON.stringify(this._done));
    } catch (error) {
      // Without storage a command may run again after a reload.
    }
  }
}

const normalize = (type) => type.toLowerCase().replace(/-/g, "_");

const HANDLERS = new Map(Object.entries({
  identify({ device }) {
    device.identify();
    return "Its name is on the screen";
  },
  reload() {
    return "It loads its page again";
  },
  navigate({ server, device, show }, { areaId, area }) {
    const found = server.areas.find((one) => one.id === areaId || (area !== undefined && one.name === area));
    if (!found) throw new Error("This tablet has no such area");
    device.wake();
    show(found.id);
    return `It shows ${found.name}`;
  },
  screen_off({ device }) {
    device.turnOff();
    return "Its screen is black until somebody touches it";
  },
  screen_on({ device }) {
    device.wake();
    return "Its screen is on";
  },
  brightness({ device }, { level }) {
    if (!(level >= 5 && level <= 100)) throw new Error("level must be 5 to 100");
    device.dim(Number(level));
    return `Its brightness is ${Number(level)} %`;
  },
  async speak({ device, language }, { text, language: spoken }) {
    if (typeof text !== "string" || !text) throw new Error("text must not be empty");
    await device.speak(text.slice(0, 500), spoken || language);
    return "It was said";
  },
  configure({ device }, parameters) {
    const { help, saverMinutes, theme, language } = parameters;
    if (help !== undefined && typeof help !== "boolean") throw new Error("help must be true or false");
    if (saverMinutes !== undefined && !(saverMinutes >= 0 && saverMinutes <= 1440)) {
      throw new Error("saverMinutes must be 0 to 1440");
    }
    if (theme !== undefined && !THEMES.includes(theme)) throw new Error(`theme must be one of ${THEMES.join(", ")}`);
    const settings = {};
    if (help !== undefined) settings.help = help;
    if (saverMinutes !== undefined) settings.saverMinutes = saverMinutes;
    device.configure(settings);
    if (theme !== undefined) window.wallcastTheme.choose(theme);
    if (typeof language === "string") storeLanguage(language);
    return "Its settings are changed";
  },
}));

function load(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) || [];
  } catch (error) {
    return [];
  }
}
