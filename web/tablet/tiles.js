// One tile component for each entity domain. Services, attributes and feature bits are those of Home Assistant.

import { Button, Icon, IconButton, html } from "../shared/ui.js";
import { brightnessOf, canDim, canWarm, domainOf, formatNumber, hasFeature, isKnown } from "./entity.js";
import { Slider, Tile, useApp } from "./frame.js";
import { ICONS } from "./icons.js";

const CAN_SET_POSITION = 4;
const CAN_STOP_COVER = 8;
const CAN_SET_VOLUME = 4;
const CAN_PREVIOUS_TRACK = 16;
const CAN_NEXT_TRACK = 32;
const CAN_SET_SPEED = 1;

const percent = (value) => `${Math.round(value)} %`;

function toggle(server, entity) {
  const turnsOn = entity.state !== "on";
  return server.callService(entity.entityId, turnsOn ? "turn_on" : "turn_off", {}, { state: turnsOn ? "on" : "off" });
}

/** Sets a light's brightness. `value` is in percent, Home Assistant's `brightness` is 0 to 255. */
export function dim(server, entity, value) {
  if (value === 0) return server.callService(entity.entityId, "turn_off", {}, { state: "off" });
  const brightness = Math.round((value / 100) * 255);
  return server.callService(entity.entityId, "turn_on", { brightness }, { state: "on", attributes: { brightness } });
}

function Light({ entity, area }) {
  const { server, t, open } = useApp();
  const isOn = entity.state === "on";
  const isDimmable = canDim(entity);
  const stateText = !isOn ? t("off") : isDimmable ? percent(brightnessOf(entity)) : t("on");
  return html`<${Tile}
    entity=${entity}
    area=${area}
    stateText=${stateText}
    isOn=${isOn}
    tone=${isOn && "glow"}
    onPress=${() => toggle(server, entity)}
    more=${(isDimmable || canWarm(entity)) && (() => open({ entityId: entity.entityId }))}
  />`;
}

function Toggle({ entity, area }) {
  const { server, t } = useApp();
  const isOn = entity.state === "on";
  return html`<${Tile}
    entity=${entity}
    area=${area}
    stateText=${t(isOn ? "on" : "off")}
    isOn=${isOn}
    tone=${isOn && "lit"}
    onPress=${() => toggle(server, entity)}
  />`;
}

function Fan({ entity, area }) {
  const { server, t, open } = useApp();
  const isOn = entity.state === "on";
  const speed = entity.attributes.percentage;
  const stateText = !isOn ? t("off") : typeof speed === "number" ? percent(speed) : t("on");
  return html`<${Tile}
    entity=${entity}
    area=${area}
    stateText=${stateText}
    isOn=${isOn}
    tone=${isOn && "lit"}
    onPress=${() => toggle(server, entity)}
    more=${hasFeature(entity, CAN_SET_SPEED) && (() => open({ entityId: entity.entityId }))}
  />`;
}

function Cover({ entity, area }) {
  const { server, t, open } = useApp();
  const position = entity.attributes.current_position;
  const word = ["open", "closed", "opening", "closing"].includes(entity.state) ? t(entity.state) : entity.state;
  const isBetween = entity.state === "open" && typeof position === "number" && position < 100;
  const call = (service, state) => () => server.callService(entity.entityId, service, {}, { state });
  return html`<${Tile}
    entity=${entity}
    area=${area}
    stateText=${isBetween ? `${word} · ${percent(position)}` : word}
    isWide
    more=${hasFeature(entity, CAN_SET_POSITION) && (() => open({ entityId: entity.entityId }))}
  >
    <${IconButton} label=${t("open_it")} onClick=${call("open_cover", ["opening", "open"])}><${Icon} path=${ICONS.up} /><//>
    ${hasFeature(entity, CAN_STOP_COVER) &&
    html`<${IconButton} label=${t("stop_it")} onClick=${call("stop_cover", ["open", "closed"])}><${Icon} path=${ICONS.stop} /><//>`}
    <${IconButton} label=${t("close_it")} onClick=${call("close_cover", ["closing", "closed"])}><${Icon} path=${ICONS.down} /><//>
  <//>`;
}

function Climate({ entity, area }) {
  const { server, t, language } = useApp();
  const { attributes } = entity;
  const { temperature: target, current_temperature: current } = attributes;
  const step = attributes.target_temp_step || 0.5;
  const isOff = entity.state === "off";
  const degrees = (value) => `${formatNumber(value, language, step < 1 ? 1 : 0)}°`;
  const change = (by) => () => {
    const [min, max] = [attributes.min_temp || 5, attributes.max_temp || 35];
    const temperature = Math.min(max, Math.max(min, Math.round((target + by) / step) * step));
    server.callService(entity.entityId, "set_temperature", { temperature }, { attributes: { temperature } });
  };
  const action = ["heating", "cooling", "idle"].includes(attributes.hvac_action) ? t(attributes.hvac_action) : null;
  const now = typeof current === "number" ? degrees(current) : t(isOff ? "off" : "on");
  const tone = attributes.hvac_action === "heating" ? "glow" : attributes.hvac_action === "cooling" ? "cool" : null;
  return html`<${Tile}
    entity=${entity}
    area=${area}
    stateText=${[now, isOff ? t("off") : action].filter(Boolean).join(" · ")}
    tone=${tone}
    isWide
  >
    ${typeof target === "number" &&
    !isOff &&
    html`
      <${IconButton} label=${t("cooler")} onClick=${change(-step)}><${Icon} path=${ICONS.minus} /><//>
      <output class="target numbers" aria-label=${t("target")}>${degrees(target)}</output>
      <${IconButton} label=${t("warmer")} onClick=${change(step)}><${Icon} path=${ICONS.plus} /><//>
    `}
  <//>`;
}

function MediaPlayer({ entity, area }) {
  const { server, t, open } = useApp();
  const { attributes, state } = entity;
  const isPlaying = state === "playing";
  const isOff = ["off", "standby"].includes(state);
  const title = [attributes.media_title, attributes.media_artist].filter(Boolean).join(" · ");
  const words = { playing: "playing", paused: "paused", idle: "idle", off: "off", standby: "off", on: "on" };
  const call = (service, expected = {}) => () => server.callService(entity.entityId, service, {}, expected);
  return html`<${Tile}
    entity=${entity}
    area=${area}
    stateText=${(isPlaying || state === "paused") && title ? title : t(words[state] || "on")}
    tone=${isPlaying && "lit"}
    isWide
    more=${hasFeature(entity, CAN_SET_VOLUME) && !isOff && (() => open({ entityId: entity.entityId }))}
  >
    ${isOff
      ? html`<${Button} onClick=${call("turn_on", { state: ["on", "idle", "playing", "paused"] })}>${t("turn_on")}<//>`
      : html`
          ${hasFeature(entity, CAN_PREVIOUS_TRACK) &&
          html`<${IconButton} label=${t("previous")} onClick=${call("media_previous_track")}><${Icon} path=${ICONS.previous} /><//>`}
          <${IconButton}
            class="strong"
            label=${t(isPlaying ? "pause" : "play")}
            onClick=${isPlaying ? call("media_pause", { state: "paused" }) : call("media_play", { state: "playing" })}
          >
            <${Icon} path=${isPlaying ? ICONS.pause : ICONS.play} />
          <//>
          ${hasFeature(entity, CAN_NEXT_TRACK) &&
          html`<${IconButton} label=${t("next")} onClick=${call("media_next_track")}><${Icon} path=${ICONS.next} /><//>`}
        `}
  <//>`;
}

function Lock({ entity, area }) {
  const { server, t } = useApp();
  const word = ["locked", "unlocked", "locking", "unlocking", "jammed", "open"].includes(entity.state)
    ? t(`lock_${entity.state}`)
    : entity.state;
  const isSafe = entity.state === "locked" || entity.state === "locking";
  // A wall tablet can lock but not unlock, because anybody who passes by can touch it.
  return html`<${Tile} entity=${entity} area=${area} stateText=${word} tone=${isSafe ? null : "warn"} isWide=${!isSafe}>
    ${!isSafe &&
    html`<${Button} onClick=${() => server.callService(entity.entityId, "lock", {}, { state: ["locking", "locked"] })}>${t("lock_it")}<//>`}
  <//>`;
}

function Scene({ entity, area }) {
  const { server, t } = useApp();
  // A scene's state is the time of its last use: show it as the tile's age.
  const used = Object.assign({}, entity, isKnown(entity) ? { lastChanged: entity.state } : { state: "scene" });
  return html`<${Tile}
    entity=${used}
    area=${area}
    stateText=${t("activate")}
    onPress=${() => server.callService(entity.entityId, "turn_on", {}, {})}
  />`;
}

function Choice({ entity, area }) {
  const { open } = useApp();
  return html`<${Tile} entity=${entity} area=${area} stateText=${entity.state} onPress=${() => open({ entityId: entity.entityId })} />`;
}

function Sensor({ entity, area }) {
  const { language } = useApp();
  const { unit_of_measurement: unit, device_class: kind } = entity.attributes;
  const isNumber = entity.state !== "" && Number.isFinite(Number(entity.state)) && kind !== "date" && kind !== "timestamp";
  const value = isNumber ? formatNumber(entity.state, language) : entity.state;
  return html`<${Tile} entity=${entity} area=${area} stateText=${html`<span class="reading numbers">${value}${unit && html`<small> ${unit}</small>`}</span>`} />`;
}

const OPENINGS = ["door", "garage_door", "window", "opening"];
const ALARMS = ["smoke", "gas", "carbon_monoxide", "moisture", "problem", "safety", "tamper"];

function BinarySensor({ entity, area }) {
  const { t } = useApp();
  const kind = entity.attributes.device_class;
  const isOn = entity.state === "on";
  const word = OPENINGS.includes(kind)
    ? t(isOn ? "open" : "closed")
    : ALARMS.includes(kind)
      ? t(isOn ? "alarm" : "all_well")
      : ["motion", "occupancy", "presence"].includes(kind)
        ? t(isOn ? "motion" : "no_motion")
        : t(isOn ? "on" : "off");
  const tone = !isOn ? null : ALARMS.includes(kind) ? "alarm" : OPENINGS.includes(kind) ? "warn" : "lit";
  return html`<${Tile} entity=${entity} area=${area} stateText=${word} tone=${tone} />`;
}

/** Fallback for other domains: the raw state, capitalized. */
function Plain({ entity, area }) {
  const stateText = String(entity.state).replace(/_/g, " ");
  return html`<${Tile} entity=${entity} area=${area} stateText=${stateText.charAt(0).toUpperCase() + stateText.slice(1)} />`;
}

const TILES = new Map(Object.entries({
  binary_sensor: BinarySensor,
  climate: Climate,
  cover: Cover,
  fan: Fan,
  input_boolean: Toggle,
  input_select: Choice,
  light: Light,
  lock: Lock,
  media_player: MediaPlayer,
  scene: Scene,
  select: Choice,
  sensor: Sensor,
  switch: Toggle,
}));

export function TileOf({ entity, area }) {
  const kind = TILES.get(domainOf(entity.entityId)) || Plain;
  return html`<${kind} entity=${entity} area=${area} key=${entity.entityId} />`;
}
