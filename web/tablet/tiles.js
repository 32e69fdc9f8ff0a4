// One tile for each kind of entity, by its domain. What a tile asks for is in Home Assistant's words.

import { Button, Icon, IconButton, html } from "../shared/ui.js";
import { brightnessOf, canDim, canWarm, domainOf, hasFeature, isKnown, number } from "./entity.js";
import { Slider, Tile, useApp } from "./frame.js";
import { ICONS } from "./icons.js";

const CAN_SET_POSITION = 4;
const CAN_STOP_COVER = 8;
const CAN_SET_VOLUME = 4;
const CAN_GO_BACK = 16;
const CAN_GO_ON = 32;
const CAN_SET_SPEED = 1;

const percent = (value) => `${Math.round(value)} %`;

function toggled(house, entity) {
  const turnsOn = entity.state !== "on";
  return house.ask(entity.entityId, turnsOn ? "turn_on" : "turn_off", {}, { state: turnsOn ? "on" : "off" });
}

/** A light's details; asks for brightness as Home Assistant counts it, 0 to 255. */
export function dim(house, entity, value) {
  if (value === 0) return house.ask(entity.entityId, "turn_off", {}, { state: "off" });
  const brightness = Math.round((value / 100) * 255);
  return house.ask(entity.entityId, "turn_on", { brightness }, { state: "on", attributes: { brightness } });
}

function Light({ entity, area }) {
  const { house, say, open } = useApp();
  const isOn = entity.state === "on";
  const isDimmable = canDim(entity);
  const says = !isOn ? say("off") : isDimmable ? percent(brightnessOf(entity)) : say("on");
  return html`<${Tile}
    entity=${entity}
    area=${area}
    says=${says}
    isOn=${isOn}
    tone=${isOn && "glow"}
    onPress=${() => toggled(house, entity)}
    more=${(isDimmable || canWarm(entity)) && (() => open({ entityId: entity.entityId }))}
  />`;
}

function Toggle({ entity, area }) {
  const { house, say } = useApp();
  const isOn = entity.state === "on";
  return html`<${Tile}
    entity=${entity}
    area=${area}
    says=${say(isOn ? "on" : "off")}
    isOn=${isOn}
    tone=${isOn && "lit"}
    onPress=${() => toggled(house, entity)}
  />`;
}

function Fan({ entity, area }) {
  const { house, say, open } = useApp();
  const isOn = entity.state === "on";
  const speed = entity.attributes.percentage;
  const says = !isOn ? say("off") : typeof speed === "number" ? percent(speed) : say("on");
  return html`<${Tile}
    entity=${entity}
    area=${area}
    says=${says}
    isOn=${isOn}
    tone=${isOn && "lit"}
    onPress=${() => toggled(house, entity)}
    more=${hasFeature(entity, CAN_SET_SPEED) && (() => open({ entityId: entity.entityId }))}
  />`;
}

function Cover({ entity, area }) {
  const { house, say, open } = useApp();
  const position = entity.attributes.current_position;
  const word = ["open", "closed", "opening", "closing"].includes(entity.state) ? say(entity.state) : entity.state;
  const isBetween = entity.state === "open" && typeof position === "number" && position < 100;
  const act = (service, state) => () => house.ask(entity.entityId, service, {}, { state });
  return html`<${Tile}
    entity=${entity}
    area=${area}
    says=${isBetween ? `${word} · ${percent(position)}` : word}
    isWide
    more=${hasFeature(entity, CAN_SET_POSITION) && (() => open({ entityId: entity.entityId }))}
  >
    <${IconButton} label=${say("open_it")} onClick=${act("open_cover", ["opening", "open"])}><${Icon} path=${ICONS.up} /><//>
    ${hasFeature(entity, CAN_STOP_COVER) &&
    html`<${IconButton} label=${say("stop_it")} onClick=${act("stop_cover", ["open", "closed"])}><${Icon} path=${ICONS.stop} /><//>`}
    <${IconButton} label=${say("close_it")} onClick=${act("close_cover", ["closing", "closed"])}><${Icon} path=${ICONS.down} /><//>
  <//>`;
}

function Climate({ entity, area }) {
  const { house, say, language } = useApp();
  const { attributes } = entity;
  const { temperature: target, current_temperature: current } = attributes;
  const step = attributes.target_temp_step || 0.5;
  const isOff = entity.state === "off";
  const degrees = (value) => `${number(value, language, step < 1 ? 1 : 0)}°`;
  const change = (by) => () => {
    const [min, max] = [attributes.min_temp || 5, attributes.max_temp || 35];
    const temperature = Math.min(max, Math.max(min, Math.round((target + by) / step) * step));
    house.ask(entity.entityId, "set_temperature", { temperature }, { attributes: { temperature } });
  };
  const action = ["heating", "cooling", "idle"].includes(attributes.hvac_action) ? say(attributes.hvac_action) : null;
  const now = typeof current === "number" ? degrees(current) : say(isOff ? "off" : "on");
  const tone = attributes.hvac_action === "heating" ? "glow" : attributes.hvac_action === "cooling" ? "cool" : null;
  return html`<${Tile}
    entity=${entity}
    area=${area}
    says=${[now, isOff ? say("off") : action].filter(Boolean).join(" · ")}
    tone=${tone}
    isWide
  >
    ${typeof target === "number" &&
    !isOff &&
    html`
      <${IconButton} label=${say("cooler")} onClick=${change(-step)}><${Icon} path=${ICONS.minus} /><//>
      <output class="target numbers" aria-label=${say("target")}>${degrees(target)}</output>
      <${IconButton} label=${say("warmer")} onClick=${change(step)}><${Icon} path=${ICONS.plus} /><//>
    `}
  <//>`;
}

function MediaPlayer({ entity, area }) {
  const { house, say, open } = useApp();
  const { attributes, state } = entity;
  const isPlaying = state === "playing";
  const isOff = ["off", "standby"].includes(state);
  const title = [attributes.media_title, attributes.media_artist].filter(Boolean).join(" · ");
  const words = { playing: "playing", paused: "paused", idle: "idle", off: "off", standby: "off", on: "on" };
  const act = (service, expected = {}) => () => house.ask(entity.entityId, service, {}, expected);
  return html`<${Tile}
    entity=${entity}
    area=${area}
    says=${(isPlaying || state === "paused") && title ? title : say(words[state] || "on")}
    tone=${isPlaying && "lit"}
    isWide
    more=${hasFeature(entity, CAN_SET_VOLUME) && !isOff && (() => open({ entityId: entity.entityId }))}
  >
    ${isOff
      ? html`<${Button} onClick=${act("turn_on", { state: ["on", "idle", "playing", "paused"] })}>${say("turn_on")}<//>`
      : html`
          ${hasFeature(entity, CAN_GO_BACK) &&
          html`<${IconButton} label=${say("previous")} onClick=${act("media_previous_track")}><${Icon} path=${ICONS.previous} /><//>`}
          <${IconButton}
            class="strong"
            label=${say(isPlaying ? "pause" : "play")}
            onClick=${isPlaying ? act("media_pause", { state: "paused" }) : act("media_play", { state: "playing" })}
          >
            <${Icon} path=${isPlaying ? ICONS.pause : ICONS.play} />
          <//>
          ${hasFeature(entity, CAN_GO_ON) &&
          html`<${IconButton} label=${say("next")} onClick=${act("media_next_track")}><${Icon} path=${ICONS.next} /><//>`}
        `}
  <//>`;
}

function Lock({ entity, area }) {
  const { house, say } = useApp();
  const word = ["locked", "unlocked", "locking", "unlocking", "jammed", "open"].includes(entity.state)
    ? say(`lock_${entity.state}`)
    : entity.state;
  const isSafe = entity.state === "locked" || entity.state === "locking";
  // A wall tablet locks and never unlocks: whoever passes by may touch it.
  return html`<${Tile} entity=${entity} area=${area} says=${word} tone=${isSafe ? null : "warn"} isWide=${!isSafe}>
    ${!isSafe &&
    html`<${Button} onClick=${() => house.ask(entity.entityId, "lock", {}, { state: ["locking", "locked"] })}>${say("lock_it")}<//>`}
  <//>`;
}

function Scene({ entity, area }) {
  const { house, say } = useApp();
  // A scene's state is when it was last used, which its age says already.
  const used = Object.assign({}, entity, isKnown(entity) ? { lastChanged: entity.state } : { state: "scene" });
  return html`<${Tile}
    entity=${used}
    area=${area}
    says=${say("activate")}
    onPress=${() => house.ask(entity.entityId, "turn_on", {}, {})}
  />`;
}

function Choice({ entity, area }) {
  const { open } = useApp();
  return html`<${Tile} entity=${entity} area=${area} says=${entity.state} onPress=${() => open({ entityId: entity.entityId })} />`;
}

function Sensor({ entity, area }) {
  const { language } = useApp();
  const { unit_of_measurement: unit, device_class: kind } = entity.attributes;
  const isNumber = entity.state !== "" && Number.isFinite(Number(entity.state)) && kind !== "date" && kind !== "timestamp";
  const value = isNumber ? number(entity.state, language) : entity.state;
  return html`<${Tile} entity=${entity} area=${area} says=${html`<span class="reading numbers">${value}${unit && html`<small> ${unit}</small>`}</span>`} />`;
}

const OPENINGS = ["door", "garage_door", "window", "opening"];
const ALARMS = ["smoke", "gas", "carbon_monoxide", "moisture", "problem", "safety", "tamper"];

function BinarySensor({ entity, area }) {
  const { say } = useApp();
  const kind = entity.attributes.device_class;
  const isOn = entity.state === "on";
  const word = OPENINGS.includes(kind)
    ? say(isOn ? "open" : "closed")
    : ALARMS.includes(kind)
      ? say(isOn ? "alarm" : "all_well")
      : ["motion", "occupancy", "presence"].includes(kind)
        ? say(isOn ? "motion" : "no_motion")
        : say(isOn ? "on" : "off");
  const tone = !isOn ? null : ALARMS.includes(kind) ? "alarm" : OPENINGS.includes(kind) ? "warn" : "lit";
  return html`<${Tile} entity=${entity} area=${area} says=${word} tone=${tone} />`;
}

/** Any other: its state, as a sentence would begin with it. */
function Plain({ entity, area }) {
  const says = String(entity.state).replace(/_/g, " ");
  return html`<${Tile} entity=${entity} area=${area} says=${says.charAt(0).toUpperCase() + says.slice(1)} />`;
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

/** The tile of an entity. */
export function TileOf({ entity, area }) {
  const kind = TILES.get(domainOf(entity.entityId)) || Plain;
  return html`<${kind} entity=${entity} area=${area} key=${entity.entityId} />`;
}
