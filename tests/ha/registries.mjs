// Changes Core's registries of areas, entities and devices, and calls its services.

/** Creates an area in Core and returns its id. */
export async function createCoreArea(home, name) {
  return (await home.command("config/area_registry/create", { name })).area_id;
}

/**
 * Assigns an area to an entity, or with null lets it follow its device. Newer versions of Core accept an area only
 * together with a name.
 */
export function assignEntity(home, entityId, areaId) {
  const name = areaId && `Own ${entityId}`;
  const change = { entity_id: entityId, area_id: areaId, name };
  return home.command("config/entity_registry/update", change);
}

/** Assigns an area to an entity's device, or none with null. */
export async function assignDeviceOf(home, entityId, areaId) {
  const entities = await home.command("config/entity_registry/list");
  const { device_id } = entities.find(({ entity_id }) => entity_id === entityId);
  await home.command("config/device_registry/update", { device_id, area_id: areaId });
}

/** Calls a service of Core as its owner. */
export function callInCore(home, domain, service, entityId, data = {}) {
  const target = { entity_id: entityId };
  return home.command("call_service", { domain, service, target, service_data: data });
}

/** The state of an entity in Core. */
export async function coreState(home, entityId) {
  const states = await home.command("get_states");
  return states.find(({ entity_id }) => entity_id === entityId);
}
