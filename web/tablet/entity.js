// Pure functions over an entity `{entityId, state, attributes}`.

export const domainOf = (entityId) => entityId.slice(0, entityId.indexOf("."));

/** The friendly name, or a name derived from the entity id. */
export function nameOf(entity) {
  const friendlyName = entity.attributes && entity.attributes.friendly_name;
  if (friendlyName) return friendlyName;
  const words = entity.entityId.slice(entity.entityId.indexOf(".") + 1).replace(/_/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The name without the area's name as prefix, because the area's heading already shows it. */
export function shortName(entity, areaName) {
  const name = nameOf(entity);
  const isPrefixed = areaName && name.toLowerCase().startsWith(`${areaName.toLowerCase()} `);
  const rest = isPrefixed ? name.slice(areaName.length + 1) : name;
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

/** Whether the entity has a usable state. */
export const isKnown = ({ state }) => state !== undefined && state !== "unavailable" && state !== "unknown";

const DOMAIN_ORDER = [
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

/** Sorts controls before sensors, and by name within a domain. */
export function sortEntities(entities) {
  const rank = ({ entityId }) => {
    const index = DOMAIN_ORDER.indexOf(domainOf(entityId));
    return index < 0 ? DOMAIN_ORDER.length : index;
  };
  return entities.slice().sort((a, b) => rank(a) - rank(b) || nameOf(a).localeCompare(nameOf(b)));
}

const DIMMABLE_COLOR_MODES = ["brightness", "color_temp", "hs", "xy", "rgb", "rgbw", "rgbww", "white"];

export const canDim = ({ attributes = {} }) =>
  (attributes.supported_color_modes || []).some((mode) => DIMMABLE_COLOR_MODES.includes(mode));

/** Whether a light supports colour temperature. */
export const canWarm = ({ attributes = {} }) => (attributes.supported_color_modes || []).includes("color_temp");

/** A light's brightness from 0 to 100. */
export function brightnessOf({ state, attributes = {} }) {
  if (state !== "on") return 0;
  return attributes.brightness === undefined || attributes.brightness === null
    ? 100
    : Math.max(1, Math.round((attributes.brightness / 255) * 100));
}

/** Whether `bit` is set in `supported_features`. */
export const hasFeature = ({ attributes = {} }, bit) => Boolean((attributes.supported_features || 0) & bit);

/** Formats a number with `places` decimals, or with as many as the value has, at most two. */
export function formatNumber(value, language, places) {
  const decimals = String(value).split(".")[1] || "";
  const fraction = places === undefined ? Math.min(decimals.length, 2) : places;
  return Number(value).toLocaleString(language, { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
}

/** Whether an entity has the expected `{state, attributes}`; `state` may be a list of alternatives. */
export function matchesExpected(entity, expected) {
  const states = [].concat(expected.state === undefined ? [] : expected.state);
  if (states.length && !states.includes(entity.state)) return false;
  return Object.keys(expected.attributes || {}).every((key) => {
    const [wanted, actual] = [expected.attributes[key], (entity.attributes || {})[key]];
    if (typeof wanted !== "number" || typeof actual !== "number") return wanted === actual;
    // Devices round: a light that was set to 50 % may report a brightness of 127 or 128.
    return Math.abs(wanted - actual) <= Math.max(2, Math.abs(wanted) * 0.02);
  });
}

/** A copy of the entity with the expected state and attributes applied. */
export function withExpected(entity, expected) {
  const state = expected.state === undefined ? entity.state : [].concat(expected.state)[0];
  return Object.assign({}, entity, { state, attributes: Object.assign({}, entity.attributes, expected.attributes) });
}
