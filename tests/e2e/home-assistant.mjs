// A stand-in for Home Assistant: the part of its WebSocket API that Wallcast uses, with entities of every kind in
// three areas. Service calls change states as devices would.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

export const HA_TOKEN = "stand-in-token";

const LIGHT = {
  supported_color_modes: ["color_temp"],
  min_color_temp_kelvin: 2200,
  max_color_temp_kelvin: 6500,
};

/** entity_id: [area, state, attributes]. */
const ENTITIES = {
  "light.living_ceiling": ["living", "on", { ...LIGHT, friendly_name: "Living Room Ceiling", brightness: 178, color_temp_kelvin: 2900 }],
  "light.living_reading": ["living", "off", { friendly_name: "Living Room Reading Lamp", supported_color_modes: ["brightness"] }],
  "light.living_shelf": ["living", "on", { friendly_name: "Living Room Shelf", supported_color_modes: ["onoff"] }],
  "scene.evening": ["living", "2026-11-20T19:12:00+00:00", { friendly_name: "Evening" }],
  "climate.living": ["living", "heat", { friendly_name: "Living Room Heating", temperature: 21.5, current_temperature: 20.8, hvac_action: "heating", min_temp: 7, max_temp: 30, target_temp_step: 0.5 }],
  "media_player.living": ["living", "playing", { friendly_name: "Living Room Speaker", media_title: "Clair de lune", media_artist: "Claude Debussy", volume_level: 0.35, supported_features: 4 | 16 | 32 | 1 | 16384 }],
  "cover.living_blinds": ["living", "open", { friendly_name: "Living Room Blinds", current_position: 70, supported_features: 15 }],
  "sensor.living_temperature": ["living", "20.8", { friendly_name: "Living Room Temperature", device_class: "temperature", unit_of_measurement: "°C" }],
  "sensor.living_humidity": ["living", "46", { friendly_name: "Living Room Humidity", device_class: "humidity", unit_of_measurement: "%" }],
  "light.kitchen_counter": ["kitchen", "off", { ...LIGHT, friendly_name: "Kitchen Counter" }],
  "switch.kitchen_coffee": ["kitchen", "off", { friendly_name: "Coffee Machine" }],
  "fan.kitchen_hood": ["kitchen", "on", { friendly_name: "Hood", percentage: 40, percentage_step: 20, supported_features: 1 }],
  "binary_sensor.kitchen_window": ["kitchen", "on", { friendly_name: "Kitchen Window", device_class: "window" }],
  "binary_sensor.kitchen_smoke": ["kitchen", "off", { friendly_name: "Smoke", device_class: "smoke" }],
  "sensor.kitchen_fridge": ["kitchen", "unavailable", { friendly_name: "Fridge" }],
  "camera.kitchen": ["kitchen", "idle", { friendly_name: "Door Camera" }],
  "lock.hall_door": ["hall", "unlocked", { friendly_name: "Front Door" }],
  "input_boolean.hall_guests": ["hall", "off", { friendly_name: "Guests" }],
  "input_select.hall_mode": ["hall", "Home", { friendly_name: "House Mode", options: ["Home", "Away", "Holiday"] }],
  "binary_sensor.hall_motion": ["hall", "on", { friendly_name: "Motion", device_class: "motion" }],
};

const AREAS = { living: "Living Room", kitchen: "Kitchen", hall: "Hall" };

const USERS = [
  { id: "5f0e", name: "Ann", is_active: true, is_owner: true, system_generated: false, group_ids: ["system-admin"] },
  { id: "77aa", name: "Guest", is_active: true, is_owner: false, system_generated: false, group_ids: ["system-users"] },
];

/**
 * Starts the stand-in; the end of the test stops it. Returns `options` for the daemon's environment, `areas` by id,
 * `entityIds(area)`, `stateOf(id)`, `set(id, state, attributes)` for a state change of a device, `ignore(true)` for
 * devices that do not react, `refuse(message)` to make service calls fail, the recorded `calls`, and `stop()` and
 * `start()` for an outage.
 */
export async function startHomeAssistant(t) {
  const now = () => Date.now() / 1000;
  const states = new Map();
  const setInitialState = ([id, [, state, attributes]]) => {
    // Spread `last_changed` over the past hours.
    states.set(id, { s: state, a: { ...attributes }, c: "1", lc: now() - 60 * (id.length % 7) * 13 - 5 });
  };
  Object.entries(ENTITIES).forEach(setInitialState);
  const homeAssistant = { calls: [], areas: { ...AREAS }, isIgnoring: false, refusal: null, port: 0 };
  const sockets = new Set();
  homeAssistant.ignore = (isIgnoring) => (homeAssistant.isIgnoring = isIgnoring);
  homeAssistant.refuse = (message) => (homeAssistant.refusal = message);
  /** Restores the initial states and settings. */
  homeAssistant.reset = () => {
    Object.assign(homeAssistant, { calls: [], isIgnoring: false, refusal: null });
    for (const entry of Object.entries(ENTITIES)) {
      setInitialState(entry);
      for (const socket of sockets) socket.changed(entry[0], states.get(entry[0]));
    }
  };
  homeAssistant.stateOf = (id) => states.get(id).s;
  homeAssistant.entityIds = (area) => Object.keys(ENTITIES).filter((id) => ENTITIES[id][0] === area);
  homeAssistant.set = (id, state, attributes = {}) => {
    const before = states.get(id);
    const after = { ...before, s: state, a: { ...before.a, ...attributes }, lc: before.s === state ? before.lc : now(), lu: now() };
    states.set(id, after);
    for (const socket of sockets) socket.changed(id, after);
  };

  const serve = (socket) => {
    const subscriptions = new Map();
    const send = (message) => socket.readyState === 1 && socket.send(JSON.stringify(message));
    const event = (id, event) => send({ id, type: "event", event });
    const subscriber = {
      changed(entity, { s, a, lc, lu }) {
        for (const [id, entities] of subscriptions) {
          if (entities.has(entity)) event(id, { c: { [entity]: { "+": { s, a, lc, lu } } } });
        }
      },
    };
    sockets.add(subscriber);
    socket.on("close", () => sockets.delete(subscriber));
    let isAuthenticated = false;
    const handlers = {
      supported_features: () => null,
      ping: ({ id }) => (send({ id, type: "pong" }), undefined),
      get_config: () => ({ state: "RUNNING", location_name: "Stand-in", internal_url: null }),
      "config/area_registry/list": () => Object.entries(homeAssistant.areas).map(([area_id, name]) => ({ area_id, name })),
      "config/device_registry/list": () => [],
      "config/entity_registry/list_for_display": () => ({
        entity_categories: {},
        entities: Object.entries(ENTITIES).map(([ei, [ai]]) => ({ ei, ai, pl: "stand_in" })),
      }),
      "config/auth/list": () => USERS,
      subscribe_events: () => null,
      unsubscribe_events: ({ subscription }) => (subscriptions.delete(subscription), null),
      fire_event: () => ({ context: { id: "c" } }),
      subscribe_entities({ id, entity_ids: ids }) {
        subscriptions.set(id, new Set(ids));
        send({ id, type: "result", success: true, result: null });
        const known = ids.filter((one) => states.has(one));
        event(id, { a: Object.fromEntries(known.map((one) => [one, states.get(one)])) });
      },
      call_service({ id, domain, service, service_data: data = {}, target = {} }) {
        const entity = [].concat(target.entity_id ?? data.entity_id)[0];
        homeAssistant.calls.push({ domain, service, data, entity });
        if (homeAssistant.refusal) {
          const error = { code: "home_assistant_error", message: homeAssistant.refusal };
          send({ id, type: "result", success: false, error });
          return;
        }
        send({ id, type: "result", success: true, result: { context: { id: "c" }, response: null } });
        if (!homeAssistant.isIgnoring) applyService(homeAssistant, states, entity, service, data);
      },
    };
    send({ type: "auth_required", ha_version: "2026.11.1" });
    socket.on("message", (text) => {
      for (const message of [].concat(JSON.parse(text))) {
        const { id, type } = message;
        if (!isAuthenticated) {
          isAuthenticated = type === "auth" && message.access_token === HA_TOKEN;
          send(isAuthenticated ? { type: "auth_ok", ha_version: "2026.11.1" } : { type: "auth_invalid", message: "no" });
          continue;
        }
        const handler = handlers[type];
        if (!handler) {
          send({ id, type: "result", success: false, error: { code: "unknown_command", message: `Unknown command: ${type}` } });
          continue;
        }
        const result = handler(message);
        if (result !== undefined) send({ id, type: "result", success: true, result });
      }
    });
  };

  let server;
  let upgrader;
  homeAssistant.start = async () => {
    server = createServer((_, response) => response.writeHead(404).end());
    upgrader = new WebSocketServer({ server, path: "/api/websocket" });
    upgrader.on("connection", serve);
    await new Promise((resolve) => server.listen(homeAssistant.port, "127.0.0.1", resolve));
    homeAssistant.port = server.address().port;
  };
  homeAssistant.stop = async () => {
    for (const socket of upgrader.clients) socket.terminate();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  await homeAssistant.start();
  t.after(() => homeAssistant.stop().catch(() => {}));
  homeAssistant.options = { WALLCAST_HA_URL: `http://127.0.0.1:${homeAssistant.port}`, WALLCAST_HA_TOKEN: HA_TOKEN };
  return homeAssistant;
}

/** Changes an entity's state as its device would after a service call. */
function applyService(homeAssistant, states, entity, service, data) {
  const { s: state, a: attributes } = states.get(entity);
  const domain = entity.split(".")[0];
  const effects = {
    turn_on: () => {
      if (domain === "scene") return [new Date().toISOString(), {}];
      const brightness = data.brightness ?? attributes.brightness ?? 255;
      const more = domain === "light" && attributes.supported_color_modes[0] !== "onoff" ? { brightness } : {};
      return ["on", { ...more, ...data }];
    },
    turn_off: () => ["off", {}],
    toggle: () => [state === "on" ? "off" : "on", {}],
    open_cover: () => ["open", { current_position: 100 }],
    close_cover: () => ["closed", { current_position: 0 }],
    stop_cover: () => [state, {}],
    set_cover_position: () => [data.position ? "open" : "closed", { current_position: data.position }],
    set_temperature: () => [state, { temperature: data.temperature }],
    media_play: () => ["playing", {}],
    media_pause: () => ["paused", {}],
    media_next_track: () => ["playing", { media_title: "La mer", media_artist: "Claude Debussy" }],
    media_previous_track: () => ["playing", { media_title: "Arabesque", media_artist: "Claude Debussy" }],
    volume_set: () => [state, { volume_level: data.volume_level }],
    lock: () => ["locked", {}],
    select_option: () => [data.option, {}],
  };
  const [after, changed] = (effects[service] ?? (() => [state, {}]))();
  homeAssistant.set(entity, after, changed);
}
