// Access: tokens, open connections, the server's certificate, and code examples.

import { html } from "../kit.js";
import { Head, Tabs } from "../ui.js";
import { t } from "../words.js";
import { Certificate } from "./certificate.js";
import { Examples } from "./examples.js";
import { Sessions, Tokens } from "./tokens.js";

const PARTS = { tokens: Tokens, sessions: Sessions, certificate: Certificate, examples: Examples };

export function Access({ arg, user }) {
  const part = Object.hasOwn(PARTS, arg) ? arg : "tokens";
  const View = PARTS[part];
  return html`<${Head} title=${t("Access")} />
    <${Tabs} label=${t("Parts of access")} current=${`#access/${part}`}
      tabs=${[["#access/tokens", t("Tokens")], ["#access/sessions", t("Connections")], ["#access/certificate", t("Certificate")], ["#access/examples", t("Examples")]]} />
    <${View} user=${user} />`;
}
