// SVG paths for `Icon`, drawn as strokes on a 24 by 24 grid.

export const ICONS = {
  back: "M15 5l-7 7 7 7",
  blinds: "M4 4h16M5 8h14M5 12h14M5 16h14M12 16v4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
  door: "M6 21V4.5A1.5 1.5 0 0 1 7.500 3h9A1.500 1.500 0 0 1 18 4.500V21M3.500 21h17M14.500 12v.5",
  down: "M6 9l6 6 6-6",
  droplet: "M12 3.500c3.500 4 5.500 6.800 5.500 9.800a5.500 5.500 0 0 1-11 0c0-3 2-5.800 5.500-9.800z",
  fan: "M12 12m-1.500 0a1.500 1.500 0 1 0 3 0a1.500 1.500 0 1 0-3 0M12 10.500C10 7 11 3.500 14 3.500s3.500 4-.7 7.500M13.500 12c4 .2 6.500 2.800 5 5.300s-5.300.6-5.900-4M10.700 12.800c-2 3.400-5.500 4.300-6.900 1.800s1.700-5 6.200-3.500",
  gauge: "M4 18a9 9 0 1 1 16 0M12 14l4-5",
  gear: "M12 12m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0M12 12m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M17.54 14.30L19.95 15.29M14.30 17.54L15.29 19.95M9.70 17.54L8.71 19.95M6.46 14.30L4.05 15.29M6.46 9.70L4.05 8.71M9.70 6.46L8.71 4.05M14.30 6.46L15.29 4.05M17.54 9.70L19.95 8.71",
  help: "M9 9.200a3 3 0 1 1 4.300 2.700c-.9.5-1.300 1-1.300 2M12 17.300v.2M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0",
  light: "M9 18h6M10 21h4M12 3a6.300 6.300 0 0 0-3.800 11.300c.6.5.8 1 .8 1.700h6c0-.7.2-1.200.8-1.700A6.300 6.300 0 0 0 12 3z",
  list: "M8 7h12M8 12h12M8 17h12M4 7v.1M4 12v.1M4 17v.1",
  lock: "M6 11h12v9H6zM8.500 11V7.500a3.500 3.500 0 0 1 7 0V11",
  mail: "M4 6h16v12H4zM4.500 6.500L12 13l7.500-6.500",
  media: "M8 4h8v16H8zM12 15m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M12 8v.1",
  minus: "M6 12h12",
  more: "M4 8h8M18 8h2M4 16h2M12 16h8M15 8m-2.500 0a2.500 2.500 0 1 0 5 0a2.500 2.500 0 1 0-5 0M9 16m-2.500 0a2.500 2.500 0 1 0 5 0a2.500 2.500 0 1 0-5 0",
  motion: "M12 12m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M7.500 7.500a6.500 6.500 0 0 0 0 9M16.500 7.500a6.500 6.500 0 0 1 0 9M4.500 4.500a10.500 10.500 0 0 0 0 15M19.500 4.500a10.500 10.500 0 0 1 0 15",
  next: "M6 6l8 6-8 6zM18 6v12",
  offline: "M3 9.500a13 13 0 0 1 6-3M21 9.500a13 13 0 0 0-8-3.300M6.500 13.300a8 8 0 0 1 4-2M17.500 13.300a8 8 0 0 0-2-1.300M12 18v.1M4 4l16 16",
  pause: "M8 5v14M16 5v14",
  picture: "M4 5h16v14H4zM4 16l4.500-4.500 4 4 3-3L20 17M9 9v.1",
  play: "M8 5l11 7-11 7z",
  plug: "M9 3v5M15 3v5M6.500 8h11v3.500a5.500 5.500 0 0 1-11 0zM12 17v4",
  plus: "M6 12h12M12 6v12",
  previous: "M18 6l-8 6 8 6zM6 6v12",
  scan: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M7 12h10",
  scene: "M12 3l1.900 5.600L19.500 10.500l-5.600 1.900L12 18l-1.900-5.600L4.500 10.500l5.600-1.900zM19 16.500v4M17 18.500h4",
  stop: "M7 7h10v10H7z",
  thermometer: "M12 3.500a2 2 0 0 0-2 2v8.700a4 4 0 1 0 4 0V5.500a2 2 0 0 0-2-2zM12 10v7",
  toggle: "M8 7h8a5 5 0 0 1 0 10H8A5 5 0 0 1 8 7zM16 12m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  unlock: "M6 11h12v9H6zM8.500 11V7.500a3.500 3.500 0 0 1 6.800-1.200",
  up: "M6 15l6-6 6 6",
  volume: "M4 10v4h3l5 4V6L7 10zM15.500 9a4 4 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11",
};

const OF_DOMAIN = {
  binary_sensor: "motion",
  camera: "picture",
  climate: "thermometer",
  cover: "blinds",
  fan: "fan",
  input_boolean: "toggle",
  input_select: "list",
  light: "light",
  lock: "lock",
  media_player: "media",
  scene: "scene",
  select: "list",
  switch: "plug",
};

const OF_CLASS = {
  door: "door",
  garage_door: "door",
  humidity: "droplet",
  moisture: "droplet",
  temperature: "thermometer",
  window: "door",
};

/** The drawing for an entity. */
export function iconOf({ attributes = {}, state }, domain) {
  if (domain === "lock") return ICONS[state === "unlocked" || state === "open" ? "unlock" : "lock"];
  return ICONS[OF_CLASS[attributes.device_class] || OF_DOMAIN[domain] || "gauge"];
}
