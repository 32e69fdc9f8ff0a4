// The words of the wire for how things stand, as people say them; what is none of them stays as it is.

import { t } from "./words.js";

/** Of services and incidents. */
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

/** Of help requests. */
export function helpStatus(status) {
  return { open: t("open"), acknowledged: t("somebody is on it"), resolved: t("resolved") }[status] ?? status;
}

/** Of messages. */
export function messageStatus(status) {
  return { sent: t("sent"), delivered: t("delivered"), read: t("read") }[status] ?? status;
}

/** Of commands. */
export function commandStatus(status) {
  return { pending: t("waits"), delivered: t("arrived"), applied: t("done"), failed: t("failed"), expired: t("expired") }[status] ?? status;
}
