// The details dialog of an entity: controls that need more than one tap, such as sliders.

import { Button, Dialog, html } from "../shared/ui.js";
import { brightnessOf, canDim, canWarm, domainOf, isKnown, nameOf } from "./entity.js";
import { Slider, useApp } from "./frame.js";
import { dim } from "./tiles.js";

const percent = (value) => `${Math.round(value)} %`;

function Light({ entity }) {
  const { server, t } = useApp();
  const { attributes } = entity;
  const [warmest, coolest] = [attributes.min_color_temp_kelvin || 2000, attributes.max_color_temp_kelvin || 6500];
  const isOn = entity.state === "on";
  const setColorTemp = (kelvin) =>
    server.callService(
      entity.entityId,
      "turn_on",
      { color_temp_kelvin: kelvin },
      { state: "on", attributes: { color_temp_kelvin: kelvin } },
    );
  return html`
    ${canDim(entity) &&
    html`<${Slider} label=${t("brightness")} value=${brightnessOf(entity)} show=${percent} onCommit=${(value) => dim(server, entity, value)} />`}
    ${canWarm(entity) &&
    html`<${Slider}
      class="warmth"
      label=${t("warmth")}
      min=${warmest}
      max=${coolest}
      step=${50}
      value=${attributes.color_temp_kelvin || Math.round((warmest + coolest) / 2)}
      show=${(kelvin) => (isOn ? `${kelvin} K` : "–")}
      onCommit=${setColorTemp}
    />`}
    <${Button}
      kind=${isOn ? undefined : "primary"}
      isLarge
      onClick=${() => server.callService(entity.entityId, isOn ? "turn_off" : "turn_on", {}, { state: isOn ? "off" : "on" })}
    >
      ${t(isOn ? "turn_off" : "turn_on")}
    <//>
  `;
}

function Cover({ entity }) {
  const { server, t } = useApp();
  const { current_position: position = 0 } = entity.attributes;
  const setPosition = (value) =>
    server.callService(
      entity.entityId,
      "set_cover_position",
      { position: value },
      { attributes: { current_position: value }, state: value === 0 ? ["closing", "closed"] : ["opening", "closing", "open"] },
    );
  return html`<${Slider} label=${t("position")} value=${position} show=${percent} onCommit=${setPosition} />`;
}

function Fan({ entity }) {
  const { server, t } = useApp();
  const { percentage = 0, percentage_step: step = 1 } = entity.attributes;
  const setSpeed = (value) =>
    value === 0
      ? server.callService(entity.entityId, "turn_off", {}, { state: "off" })
      : server.callService(entity.entityId, "turn_on", { percentage: value }, { state: "on", attributes: { percentage: value } });
  return html`<${Slider} label=${t("speed")} value=${entity.state === "on" ? percentage : 0} step=${step} show=${percent} onCommit=${setSpeed} />`;
}

function MediaPlayer({ entity }) {
  const { server, t } = useApp();
  const volume = (entity.attributes.volume_level || 0) * 100;
  const setVolume = (value) =>
    server.callService(entity.entityId, "volume_set", { volume_level: value / 100 }, { attributes: { volume_level: value / 100 } });
  return html`<${Slider} label=${t("volume")} value=${Math.round(volume)} show=${percent} onCommit=${setVolume} />`;
}

function Choice({ entity, onClose }) {
  const { server } = useApp();
  const choose = (option) => () => {
    server.callService(entity.entityId, "select_option", { option }, { state: option });
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

/** The details dialog of an entity, or nothing if its domain has none. */
export function Details({ entityId, onClose }) {
  const { server, t } = useApp();
  const entity = server.entity(entityId);
  const Kind = DETAILS.get(domainOf(entityId));
  if (!Kind) return null;
  return html`<${Dialog} title=${nameOf(entity)} closeLabel=${t("close")} onClose=${onClose}>
    <div class=${server.isStale ? "stack wide is-stale" : "stack wide"}>
      ${isKnown(entity) ? html`<${Kind} entity=${entity} onClose=${onClose} />` : html`<p>${t("unavailable")}</p>`}
    </div>
  <//>`;
}
