// The server's certificate: download, fingerprint, and how to install it on a tablet.

import { html, useEffect, useState } from "../kit.js";
import { BASE, call } from "../api.js";
import { Copy, Empty, ErrorText, Icon, Panel, useAction } from "../ui.js";
import { fullTime, t } from "../words.js";

const SYSTEMS = () => [
  [
    "Android",
    [
      t("Open {url}/ca.crt in the tablet’s browser and keep the file. The browser warns once: go on."),
      t("Settings → Security → Encryption and credentials → Install a certificate → CA certificate. On Samsung: Biometrics and security → Other security settings."),
      t("Choose the file ca.crt. Android asks for the screen lock, and sets one up where there is none."),
      t("Close the browser and open {url} again: the address bar shows a lock. Chrome trusts it from now on; Firefox needs Settings → About → tap the logo five times → Secret settings → Use third party CA certificates."),
    ],
  ],
  [
    t("iPhone and iPad"),
    [
      t("Open {url}/ca.crt in Safari and allow the profile to be loaded."),
      t("Settings → General → VPN and device management → the profile → Install."),
      t("Settings → General → About → Certificate trust settings: switch Wallcast on. Without this step pages load but live connections fail."),
      t("Open {url} again in Safari."),
    ],
  ],
  [
    "Windows",
    [
      t("Open {url}/ca.crt and keep the file, then open it: Install certificate → Current user."),
      t("Place all certificates in the following store → Browse → Trusted root certification authorities."),
      t("Confirm, and compare the thumbprint with the fingerprint above. Edge and Chrome use it at once; Firefox has Settings → Certificates → Import."),
    ],
  ],
  [
    "macOS, Linux",
    [
      t("macOS: open the file, add it to the System keychain, open it there, Trust → Always trust."),
      t("Debian and Ubuntu: copy it to /usr/local/share/ca-certificates/wallcast.crt and run update-ca-certificates; browsers import it in their own settings."),
    ],
  ],
];

/** The server's public address and certificate, from `GET api/house`. */
export function useAbout() {
  const [about, set] = useState();
  const load = useAction(async () => set(await call("GET", "api/house")));
  useEffect(() => {
    load.run();
  }, []);
  return { about, error: load.error };
}

export function Certificate() {
  const { about, error } = useAbout();
  if (!about) return html`<section class="panel">${error ? html`<${ErrorText} error=${error} />` : html`<p class="loading">${t("Loading…")}</p>`}</section>`;
  const { certificate, publicUrl } = about;
  return html`<${Panel} title=${t("The house’s certificate")}>
    ${certificate.authority
      ? html`<p>${t("Wallcast has a certificate authority of its own, for names of this house alone. A tablet that has it installed trusts Wallcast without a warning, and can install the app.")}</p>
          <p><a class="button primary" href=${new URL("ca.crt", BASE).href} download="wallcast-ca.crt"><${Icon} name="download" size=${18} />${t("Download the certificate")}</a></p>
          <dl class="facts">
            <dt>${t("Fingerprint (SHA-256)")}</dt><dd class="mono fingerprint">${certificate.authority.fingerprint}</dd>
          </dl>
          <p><${Copy} text=${certificate.authority.fingerprint} label=${t("Copy the fingerprint")} /></p>
          <p class="quiet">${t("Compare it with what the tablet shows before you trust it.")}</p>`
      : html`<${Empty} icon="check" title=${t("This house brings a certificate of its own")}><p>${t("Nothing needs to be installed on tablets that trust it.")}</p></${Empty}>`}
    <dl class="facts">
      <dt>${t("Served now")}</dt><dd>${certificate.origin === "local" ? t("signed by Wallcast’s own authority") : t("from certfile and keyfile")}</dd>
      <dt>${t("Stands until")}</dt><dd>${certificate.expiresAt ? fullTime(certificate.expiresAt) : t("unknown")}</dd>
      <dt>${t("Its fingerprint")}</dt><dd class="mono fingerprint">${certificate.fingerprint}</dd>
      <dt>${t("Address for tablets")}</dt><dd><a href=${publicUrl} target="_blank" rel="noopener">${publicUrl}</a></dd>
    </dl>
  </${Panel}>
  ${certificate.authority &&
  html`<${Panel} title=${t("Installing it on a device")}>
    ${SYSTEMS().map(
      ([name, steps]) => html`<details key=${name} class="more"><summary>${name}</summary>
        <ol class="steps">${steps.map((step) => html`<li>${step.replaceAll("{url}", publicUrl)}</li>`)}</ol></details>`,
    )}
  </${Panel}>`}`;
}
