// What this tablet knows of the house, and what it has asked for. Draws nothing.
//
// A wish is what somebody asked for and the house has not confirmed: it is shown at once, and taken back
// if the state that would fulfil it does not come.

import { fulfils, wished } from "./entity.js";
import { Model } from "./model.js";

/** A tile falls back when nothing has changed for so long. */
const WISH_MS = 6000;
/** A lost connection is shown after this long: a blink is nothing to worry anybody with. */
const LOST_MS = 3000;
/** Without a sign of life for so long what is shown may be old, whatever the connection believes. */
const SILENT_MS = 8000;

export class House extends Model {
  /** `complain(entity, error)` tells of a wish that did not come true; `error` only where there was one. */
  constructor(client, complain) {
    super();
    this.client = client;
    this.complain = complain;
    this.areas = [];
    this.self = null;
    this.entities = new Map();
    this.wishes = new Map();
    this.hasAreas = false;
    this.isCurrent = false;
    this.lostAt = Date.now();
    client.on("state", (state) => this._onState(state));
    client.on("connection", (words) => this._onWords(words));
    client.on("entity_states", ({ states }) => this._onStates(states));
    client.on("entity_state_changed", (change, { timestamp }) => this._onChange(change, timestamp));
    for (const type of ["area_added", "area_updated", "area_enabled", "area_disabled", "area_removed"]) {
      // What was missed is in the first words already, which are newer.
      client.on(type, (area, { isReplayed }) => isReplayed || this._onArea(type, area));
    }
  }

  /** Whether the house is there and has told everything. */
  get isLive() {
    return this.client.state.phase === "online" && this.isCurrent;
  }

  /** Whether what is shown may no longer be true. */
  get isStale() {
    if (this.isLive) return Date.now() - this.client.heardAt > SILENT_MS;
    return Date.now() - this.lostAt > LOST_MS;
  }

  /** When what is shown was last known to be true. */
  get asOf() {
    return this.client.heardAt;
  }

  area(id) {
    return this.areas.find((area) => area.id === id);
  }

  /** An entity as it is to be shown; without a state where the house has told none. */
  entity(entityId) {
    const known = this.entities.get(entityId) || { entityId, attributes: {} };
    const wish = this.wishes.get(entityId);
    return wish ? Object.assign(wished(known, wish.expected), { isWished: true }) : known;
  }

  entitiesOf(area) {
    return area.entityIds.map((id) => this.entity(id));
  }

  /** Asks the house for something, and shows it as done until it is known. */
  async ask(entityId, service, data, expected) {
    const wish = { expected };
    this.wishes.set(entityId, wish);
    this.changed();
    const end = (error) => {
      if (this.wishes.get(entityId) !== wish) return;
      this.wishes.delete(entityId);
      this.changed();
      this.complain(this.entity(entityId), error);
    };
    try {
      if (this.isStale) throw Object.assign(new Error("offline"), { code: "offline" });
      await this.client.send("call_service", { entityId, service, data });
      this._settle(entityId);
      setTimeout(end, WISH_MS);
    } catch (error) {
      end(error);
    }
  }

  /** A wish that asks for nothing to be seen, such as a scene, is fulfilled by its answer. */
  _settle(entityId) {
    const wish = this.wishes.get(entityId);
    const known = this.entities.get(entityId);
    if (!wish || !known || !fulfils(known, wish.expected)) return;
    this.wishes.delete(entityId);
    this.changed();
  }

  _onState({ phase, since }) {
    if (phase === "online") this.lostAt = Infinity;
    else if (this.lostAt === Infinity) this.lostAt = since;
    this.changed();
  }

  _onWords(words) {
    this.areas = byName(words.assignedAreas || []);
    this.hasAreas = true;
    this.isCurrent = false;
    this.lostAt = Date.now();
    this.client
      .request("GET", "api/me")
      .then(({ client }) => {
        this.self = client;
        this.changed();
      })
      .catch(() => {});
    this._askStates();
    this.changed();
  }

  /** The answer comes as `entity_states`; a house that knows no entities has answered too. */
  _askStates() {
    this.client.send("get_states").catch(({ code }) => {
      if (code === "offline" || code === "timeout") return;
      this._onStates([]);
    });
  }

  _onStates(states) {
    this.entities = new Map(states.map((state) => [state.entityId, state]));
    this.isCurrent = true;
    this.lostAt = Infinity;
    for (const entityId of Array.from(this.wishes.keys())) this._settle(entityId);
    this.changed();
  }

  _onChange(change, timestamp) {
    const entityId = change.entity_id;
    const known = this.entities.get(entityId);
    if (change.new_state === null || change.new_state === undefined) {
      this.entities.delete(entityId);
    } else {
      const isSame = known && known.state === change.new_state;
      this.entities.set(entityId, {
        entityId,
        state: change.new_state,
        attributes: change.attributes || {},
        areaIds: change.areaIds,
        lastChanged: isSame ? known.lastChanged : change.timestamp || timestamp,
      });
    }
    this._settle(entityId);
    this.changed();
  }

  _onArea(type, { areaId, name, entityIds, isEnabled }) {
    const others = this.areas.filter((area) => area.id !== areaId);
    this.areas = type === "area_removed" ? others : byName(others.concat({ id: areaId, name, entityIds, isEnabled }));
    if (type !== "area_removed") this._askStates();
    this.changed();
  }
}

const byName = (areas) => areas.slice().sort((one, other) => one.name.localeCompare(other.name));
