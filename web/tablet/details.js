// What an entity can do beyond one touch, in a dialog over its area.

import { Button, Dialog, html } from "../shared/ui.js";
import { brightnessOf, canDim, canWarm, domainOf, isKnown, nameOf } from "./entity.js";
import { Slider, useApp } from "./frame.js";
import { dim } from "./tiles.js";

const percent = (value) => `${Math.round(value)} %`;

function Light({ entity }) {
  const { house, say } = useApp();
  const { attributes } = entity;
  const [warmest, coolest] = [attributes.min_color_temp_kelvin || 2000, attributes.max_color_temp_kelvin || 6500];
  const isOn = entity.state === "on";
  const warm = (kelvin) =>
    house.ask(entity.entityId, "turn_on", { color_temp_kelvin: kelvin }, { state: "on", attributes: { color_temp_kelvin: kelvin } });
  return html`
    ${canDim(entity) &&
    html`<${Slider} label=${say("brightness")} value=${brightnessOf(entity)} show=${percent} onAsk=${(value) => dim(house, entity, value)} />`}
    ${canWarm(entity) &&
    html`<${Slider}
      class="warmth"
      label=${say("warmth")}
      min=${warmest}
      max=${coolest}
      step=${50}
      value=${attributes.color_temp_kelvin || Math.round((warmest + coolest) / 2)}
      show=${(kelvin) => (isOn ? `${kelvin} K` : "–")}
      onAsk=${warm}
    />`}
    <${Button}
      kind=${isOn ? undefined : "primary"}
      isLarge
      onClick=${() => house.ask(entity.entityId, isOn ? "turn_off" : "turn_on", {}, { state: isOn ? "off" : "on" })}
    >
      ${say(isOn ? "turn_off" : "turn_on")}
    <//>
  `;
}

function Cover({ entity }) {
  const { house, say } = useApp();
  const { current_position: position = 0 } = entity.attributes;
  const set = (value) =>
    house.ask(
      entity.entityId,
      "set_cover_position",
      { position: value },
      { attributes: { current_position: value }, state: value === 0 ? ["closing", "closed"] : ["opening", "closing", "open"] },
    );
  return html`<${Slider} label=${say("position")} value=${position} show=${percent} onAsk=${set} />`;
}

function Fan({ entity }) {
  const { house, say } = useApp();
  const { percentage = 0, percentage_step: step = 1 } = entity.attributes;
  const set = (value) =>
    value === 0
      ? house.ask(entity.entityId, "turn_off", {}, { state: "off" })
      : house.ask(entity.entityId, "turn_on", { percentage: value }, { state: "on", attributes: { percentage: value } });
  return html`<${Slider} label=${say("speed")} value=${entity.state === "on" ? percentage : 0} step=${step} show=${percent} onAsk=${set} />`;
}

function MediaPlayer({ entity }) {
  const { house, say } = useApp();
  const volume = (entity.attributes.volume_level || 0) * 100;
  const set = (value) =>
    house.ask(entity.entityId, "volume_set", { volume_level: value / 100 }, { attributes: { volume_level: value / 100 } });
  return html`<${Slider} label=${say("volume")} value=${Math.round(volume)} show=${percent} onAsk=${set} />`;
}

function Choice({ entity, onClose }) {
  const { house } = useApp();
  const choose = (option) => () => {
    house.ask(entity.entityId, "select_option", { option }, { state: option });
    onClose();
  };
  return html`<ul class="options">
    ${(entity.attributes.options || []).map(
      (option) => html`<li key=${option}>
        <button type="button" aria-pressed=${String(option === entity.state)} onClick=${choose(option)}>${option}</button>
      </li>`,
    )}
  </ul>`;
}

const DETAILS = new Map(
  Object.entries({ cover: Cover, fan: Fan, input_select: Choice, light: Light, media_player: MediaPlayer, select: Choice }),
);

/** The dialog of an entity; nothing for one that has none. */
export function Details({ entityId, onClose }) {
  const { house, say } = useApp();
  const entity = house.entity(entityId);
  const Kind = DETAILS.get(domainOf(entityId));
  if (!Kind) return null;
  return html`<${Dialog} title=${nameOf(entity)} closeLabel=${say("close")} onClose=${onClose}>
    <div class=${house.isStale ? "stack wide is-stale" : "stack wide"}>
      ${isKnown(entity) ? html`<${Kind} entity=${entity} onClose=${onClose} />` : html`<p>${say("unavailable")}</p>`}
    </div>
  <//>`;
}
