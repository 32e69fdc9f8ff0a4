// The server state of this tablet: its areas, their entities, and pending service calls.
//
// Updates are optimistic: a service call shows its expected state at once, and reverts if the entity does not
// reach that state in time.

import { matchesExpected, withExpected } from "./entity.js";
import { Model } from "./model.js";

/** Time for an entity to reach the expected state after the server accepted the call. */
const CONFIRM_TIMEOUT_MS = 6000;
/** Delay before a lost connection is shown, so that short interruptions go unnoticed. */
const STALE_AFTER_LOSS_MS = 3000;
/** Without any data for this long the states count as stale, even on an open connection. */
const STALE_AFTER_SILENCE_MS = 8000;

export class ServerState extends Model {
  /**
   * `onCallFailed(entity, error)` is called for a service call that failed, without `error` if the entity did
   * not reach the expected state in time.
   */
  constructor(client, onCallFailed) {
    super();
    this.client = client;
    this.onCallFailed = onCallFailed;
    this.areas = [];
    this.self = null;
    this.entities = new Map();
    this.pendingCalls = new Map();
    this.isLoaded = false;
    this.hasStates = false;
    this.lostAt = Date.now();
    client.on("state", (state) => this._onState(state));
    client.on("connection", (welcome) => this._onWelcome(welcome));
    client.on("entity_states", ({ states }) => this._onStates(states));
    client.on("entity_state_changed", (change, { timestamp }) => this._onChange(change, timestamp));
    for (const type of ["area_added", "area_updated", "area_enabled", "area_disabled", "area_removed"]) {
      // The welcome event's areas are newer than replayed events.
      client.on(type, (area, { isReplayed }) => isReplayed || this._onArea(type, area));
    }
  }

  /** Whether the client is online and has received the entity states. */
  get isLive() {
    return this.client.state.phase === "online" && this.hasStates;
  }

  /** Whether the shown states may be outdated. */
  get isStale() {
    if (this.isLive) return Date.now() - this.client.heardAt > STALE_AFTER_SILENCE_MS;
    return Date.now() - this.lostAt > STALE_AFTER_LOSS_MS;
  }

  /** When the shown states were last known to be valid, in ms. */
  get asOf() {
    return this.client.heardAt;
  }

  area(id) {
    return this.areas.find((area) => area.id === id);
  }

  /** An entity as shown: with the expected state of a pending call; without `state` if none is known. */
  entity(entityId) {
    const stored = this.entities.get(entityId) || { entityId, attributes: {} };
    const call = this.pendingCalls.get(entityId);
    return call ? Object.assign(withExpected(stored, call.expected), { isPending: true }) : stored;
  }

  entitiesOf(area) {
    return area.entityIds.map((id) => this.entity(id));
  }

  /** Calls a service of Home Assistant. Until the entity's state confirms the call, `expected` is shown. */
  async callService(entityId, service, data, expected) {
    const call = { expected };
    this.pendingCalls.set(entityId, call);
    this.changed();
    const fail = (error) => {
      if (this.pendingCalls.get(entityId) !== call) return;
      this.pendingCalls.delete(entityId);
      this.changed();
      this.onCallFailed(this.entity(entityId), error);
    };
    try {
      if (this.isStale) throw Object.assign(new Error("offline"), { code: "offline" });
      await this.client.send("call_service", { entityId, service, data });
      this._clearConfirmed(entityId);
      setTimeout(fail, CONFIRM_TIMEOUT_MS);
    } catch (error) {
      fail(error);
    }
  }

  /**
   * Removes the pending call if the entity has the expected state. A call that expects no visible change, such as
   * for a scene, is confirmed by the server's response.
   */
  _clearConfirmed(entityId) {
    const call = this.pendingCalls.get(entityId);
    const stored = this.entities.get(entityId);
    if (!call || !stored || !matchesExpected(stored, call.expected)) return;
    this.pendingCalls.delete(entityId);
    this.changed();
  }

  _onState({ phase, since }) {
    if (phase === "online") this.lostAt = Infinity;
    else if (this.lostAt === Infinity) this.lostAt = since;
    this.changed();
  }

  _onWelcome(welcome) {
    this.areas = byName(welcome.assignedAreas || []);
    this.isLoaded = true;
    this.hasStates = false;
    this.lostAt = Date.now();
    this.client
      .request("GET", "api/me")
      .then(({ client }) => {
        this.self = client;
        this.changed();
      })
      .catch(() => {});
    this._requestStates();
    this.changed();
  }

  /** The server responds with `entity_states`, or with an error if it has no entities. */
  _requestStates() {
    this.client.send("get_states").catch(({ code }) => {
      if (code === "offline" || code === "timeout") return;
      this._onStates([]);
    });
  }

  _onStates(states) {
    this.entities = new Map(states.map((state) => [state.entityId, state]));
    this.hasStates = true;
    this.lostAt = Infinity;
    for (const entityId of Array.from(this.pendingCalls.keys())) this._clearConfirmed(entityId);
    this.changed();
  }

  _onChange(change, timestamp) {
    const entityId = change.entity_id;
    const stored = this.entities.get(entityId);
    if (change.new_state === null || change.new_state === undefined) {
      this.entities.delete(entityId);
    } else {
      const isSame = stored && stored.state === change.new_state;
      this.entities.set(entityId, {
        entityId,
        state: change.new_state,
        attributes: change.attributes || {},
        areaIds: change.areaIds,
        lastChanged: isSame ? stored.lastChanged : change.timestamp || timestamp,
      });
    }
    this._clearConfirmed(entityId);
    this.changed();
  }

  _onArea(type, { areaId, name, entityIds, isEnabled }) {
    const others = this.areas.filter((area) => area.id !== areaId);
    this.areas = type === "area_removed" ? others : byName(others.concat({ id: areaId, name, entityIds, isEnabled }));
    if (type !== "area_removed") this._requestStates();
    this.changed();
  }
}

const byName = (areas) => areas.slice().sort((a, b) => a.name.localeCompare(b.name));
