// Events as translated sentences, and the display names of clients, kiosks, areas and conversations.

import { store } from "./store.js";
import { helpStatus, messageStatus, statusWord } from "./statuses.js";
import { t } from "./words.js";

/** The client's current name, or its id. */
export function clientName(id) {
  return store.lists.clients.value?.find((client) => client.id === id)?.name ?? id ?? "?";
}

/** A kiosk has no name: the name of its tablet if it has exactly one, else its id. */
export function kioskName(id) {
  const tablets = (store.lists.clients.value ?? []).filter((client) => (client.kioskId ?? client.id) === id);
  if (tablets.length !== 1) return id;
  return tablets[0].kioskId ? `${id} (${tablets[0].name})` : tablets[0].name;
}

export function areaName(id) {
  return store.lists.areas.value?.find((area) => area.id === id)?.name ?? id ?? "?";
}

const DESCRIPTIONS = {
  area_added: (d) => t("Area {area} was given to a tablet", { area: d.name }),
  area_removed: (d) => t("Area {area} was taken from a tablet", { area: d.name }),
  area_updated: (d) => t("Area {area} changed", { area: d.name }),
  area_enabled: (d) => t("Area {area} was switched on", { area: d.name }),
  area_disabled: (d) => t("Area {area} was switched off", { area: d.name }),
  room_updated: (d) =>
    ({
      created: t("Area {area} was made", { area: d.room_name }),
      deleted: t("Area {area} was deleted", { area: d.room_name }),
    })[d.action] ?? t("Area {area} changed", { area: d.room_name }),
  client_revoked: (d) => t("{name} was revoked", { name: d.name }),
  client_online: (d) => t("{name} is online", { name: d.name }),
  client_offline: (d) => t("{name} is offline", { name: d.name }),
  pairing_requested: (d) => t("{name} wants to be paired", { name: d.name ?? t("A tablet") }),
  pairing_completed: (d) => t("{name} was paired", { name: d.clientName }),
  pairing_denied: () => t("A pairing was denied"),
  pairing_expired: () => t("A pairing ran out of time"),
  "service-update": (d) => t("Service {name}: {what}", { name: d.data?.name ?? "", what: d.data?.status ? statusWord(d.data.status) : d.type }),
  "incident-update": (d) => t("Incident {name}: {what}", { name: d.data?.title ?? "", what: d.data?.status ? statusWord(d.data.status) : d.type }),
  "status-update": (d) => t("The status board now says {what}", { what: statusWord(d.data?.status ?? "") }),
  locker_state_changed: (d) => t("Locker {id} is {state}", { id: d.lockerId, state: d.newState }),
  help_requested: (d) => t("Help wanted: {category}", { category: humanize(d.category) }),
  help_status_updated: (d) => t("Help request {id} is {status}", { id: d.id, status: helpStatus(d.status) }),
  command_applied: (d) =>
    d.result?.success
      ? t("Command {type} was done", { type: d.command?.type })
      : t("Command {type} failed", { type: d.command?.type }),
  new_message: (d) => t("Message from {name}", { name: partyName(d.message?.from) }),
  message_status_update: (d) => t("A message was {status}", { status: messageStatus(d.status) }),
  conversation_update: (d) => t("Conversation with {name}", { name: otherSide(d.conversation) }),
  unread_count_update: (d) => t("{n} unread", { n: d.totalUnread }),
  presence: (d) => (d.isOnline ? t("{name} is online", { name: d.userId }) : t("{name} is offline", { name: d.userId })),
  typing: (d) => t("{name} is writing", { name: partyName(d.from) }),
  server_shutdown: () => t("Wallcast stops or restarts"),
  resync_required: () => t("Too long away: everything was loaded anew"),
  entity_states: (d) => t("The states of {n} entities", { n: d.states?.length ?? 0 }),
  entity_state_changed: (d) => `${d.entity_id}: ${d.new_state ?? ""}`,
};

/** The sentence for an event, or its type if there is none. */
export function describeEvent({ type, data }) {
  if (!data || !Object.hasOwn(DESCRIPTIONS, type)) return type;
  try {
    return DESCRIPTIONS[type](data);
  } catch {
    // Events written by an older version may lack fields that the sentence uses.
    return type;
  }
}

/** Display name of a participant of a conversation. */
export function partyName(party) {
  if (!party) return "?";
  if (party.admin) return t("Admins");
  if (party.all) return t("Everyone");
  return party.clientId ? clientName(party.clientId) : party.userId;
}

/** Turns a category such as `access_issue` into "Access issue". */
export function humanize(category) {
  const words = category.replace(/[_-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Names of the participants other than the admins. */
export function otherSide(conversation) {
  const sides = conversation?.participants ?? [];
  return sides.filter((side) => !side.admin).map(partyName).join(" · ") || t("Admins");
}
