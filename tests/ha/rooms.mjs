// How a person furnishes Core's registries: areas, and what stands in them.

/** Makes an area in Core and gives its id. */
export async function makeArea(house, name) {
  return (await house.command("config/area_registry/create", { name })).area_id;
}

/**
 * Puts an entity into an area of its own, or with null leaves it to its device. Newer Cores take an
 * area of its own only with a name of its own.
 */
export function putEntity(house, entityId, areaId) {
  const name = areaId && `Own ${entityId}`;
  const change = { entity_id: entityId, area_id: areaId, name };
  return house.command("config/entity_registry/update", change);
}

/** Puts an entity's device into an area, or with null into none. */
export async function putDeviceOf(house, entityId, areaId) {
  const entities = await house.command("config/entity_registry/list");
  const { device_id } = entities.find(({ entity_id }) => entity_id === entityId);
  await house.command("config/device_registry/update", { device_id, area_id: areaId });
}

/** Calls a service in Core, as its owner. */
export function callInCore(house, domain, service, entityId, data = {}) {
  const target = { entity_id: entityId };
  return house.command("call_service", { domain, service, target, service_data: data });
}

/** The state of an entity, as Core has it. */
export async function stateInCore(house, entityId) {
  const states = await house.command("get_states");
  return states.find(({ entity_id }) => entity_id === entityId);
}
