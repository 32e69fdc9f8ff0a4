// What an entity is and says, in plain values: pure functions over `{entityId, state, attributes}`.

export const domainOf = (entityId) => entityId.slice(0, entityId.indexOf("."));

/** Its name as the house gives it, else out of its id. */
export function nameOf(entity) {
  const given = entity.attributes && entity.attributes.friendly_name;
  if (given) return given;
  const words = entity.entityId.slice(entity.entityId.indexOf(".") + 1).replace(/_/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The name without that of its area, which stands above it anyway. */
export function shortName(entity, areaName) {
  const name = nameOf(entity);
  const isPrefixed = areaName && name.toLowerCase().startsWith(`${areaName.toLowerCase()} `);
  const rest = isPrefixed ? name.slice(areaName.length + 1) : name;
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

/** Whether the house knows its state at all. */
export const isKnown = ({ state }) => state !== undefined && state !== "unavailable" && state !== "unknown";

const ORDER = [
  "scene",
  "light",
  "switch",
  "input_boolean",
  "fan",
  "cover",
  "climate",
  "media_player",
  "lock",
  "input_select",
  "select",
  "camera",
  "binary_sensor",
  "sensor",
];

/** Those that do something first, then what only tells; by name within. */
export function inOrder(entities) {
  const rank = ({ entityId }) => {
    const found = ORDER.indexOf(domainOf(entityId));
    return found < 0 ? ORDER.length : found;
  };
  return entities
    .slice()
    .sort((one, other) => rank(one) - rank(other) || nameOf(one).localeCompare(nameOf(other)));
}

const KINDS_OF_LIGHT = ["brightness", "color_temp", "hs", "xy", "rgb", "rgbw", "rgbww", "white"];

/** Whether a light can be dimmed. */
export const canDim = ({ attributes = {} }) =>
  (attributes.supported_color_modes || []).some((mode) => KINDS_OF_LIGHT.includes(mode));

/** Whether a light can be warmer and cooler. */
export const canWarm = ({ attributes = {} }) => (attributes.supported_color_modes || []).includes("color_temp");

/** A light's brightness from 0 to 100. */
export function brightnessOf({ state, attributes = {} }) {
  if (state !== "on") return 0;
  return attributes.brightness === undefined || attributes.brightness === null
    ? 100
    : Math.max(1, Math.round((attributes.brightness / 255) * 100));
}

/** Whether a feature's bit is set in `supported_features`. */
export const hasFeature = ({ attributes = {} }, bit) => Boolean((attributes.supported_features || 0) & bit);

/** A number with as many places as are worth reading. */
export function number(value, language, places) {
  const shown = Number(value);
  const given = String(value).split(".")[1] || "";
  const fraction = places === undefined ? Math.min(given.length, 2) : places;
  return shown.toLocaleString(language, { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
}

/** Whether a state is what was wished for: `{state, attributes}`, where `state` may be a list. */
export function fulfils(entity, wish) {
  const states = [].concat(wish.state === undefined ? [] : wish.state);
  if (states.length && !states.includes(entity.state)) return false;
  return Object.keys(wish.attributes || {}).every((key) => {
    const [wished, is] = [wish.attributes[key], (entity.attributes || {})[key]];
    if (typeof wished !== "number" || typeof is !== "number") return wished === is;
    // Devices round: a light that was asked for 50 % may say 127 or 128.
    return Math.abs(wished - is) <= Math.max(2, Math.abs(wished) * 0.02);
  });
}

/** The entity as it will be if the wish comes true. */
export function wished(entity, wish) {
  const state = wish.state === undefined ? entity.state : [].concat(wish.state)[0];
  return Object.assign({}, entity, { state, attributes: Object.assign({}, entity.attributes, wish.attributes) });
}
