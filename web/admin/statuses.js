// Translated names of status values. Unknown values are shown unchanged.

import { t } from "./words.js";

/** Status of a service or an incident. */
export function statusWord(status) {
  return (
    {
      operational: t("works"),
      degraded: t("degraded"),
      partial_outage: t("partial outage"),
      major_outage: t("major outage"),
      maintenance: t("maintenance"),
      investigating: t("investigating"),
      identified: t("identified"),
      monitoring: t("monitoring"),
      resolved: t("resolved"),
    }[status] ?? status
  );
}

export function helpStatus(status) {
  return { open: t("open"), acknowledged: t("somebody is on it"), resolved: t("resolved") }[status] ?? status;
}

export function messageStatus(status) {
  return { sent: t("sent"), delivered: t("delivered"), read: t("read") }[status] ?? status;
}

export function commandStatus(status) {
  return { pending: t("waits"), delivered: t("arrived"), applied: t("done"), failed: t("failed"), expired: t("expired") }[status] ?? status;
}
