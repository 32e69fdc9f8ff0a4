// The sign-in page on port 8443: exchanges an admin's token for a session cookie that scripts cannot read.

import { html, useState } from "./kit.js";
import { call } from "./api.js";
import { ICON } from "./logo.js";
import { ErrorText, TextField, useAction } from "./ui.js";
import { t } from "./words.js";

export function SignIn({ user, wasSignedIn, onDone }) {
  const [token, setToken] = useState("");
  const signIn = useAction(async () => {
    const trimmed = token.trim();
    const principal = await call("GET", "api/me", undefined, { token: trimmed });
    if (principal.role !== "admin") {
      throw new Error(t("This token is a tablet's or a person's. Signing in here takes an admin's token."));
    }
    await call("POST", "api/auth/session", undefined, { token: trimmed, keyed: false, takesCookie: true });
    setToken("");
    location.reload();
    onDone();
  });
  const submit = (event) => {
    event.preventDefault();
    signIn.run();
  };
  const refused =
    signIn.error?.status === 401
      ? new Error(t("This token does not stand: it may be mistyped, expired or revoked. Make a new one and try again."))
      : signIn.error;
  return html`<main class="alone signin">
    <img src=${ICON} alt="" width="48" height="48" />
    <h1>${t("Sign in to Wallcast")}</h1>
    ${wasSignedIn && html`<p class="warning" role="alert">${t("Your session has ended. Sign in again to go on.")}</p>`}
    ${["client", "user"].includes(user.role) && html`<p class="warning">${t("This browser is signed in as {name}. Signing in here replaces that.", { name: user.client?.name ?? user.username })}</p>`}
    <form onSubmit=${submit}>
      <${TextField} label=${t("Admin token")} type="password" autocomplete="off" spellcheck="false" value=${token} onInput=${setToken} required
        hint=${t("It is exchanged for a session of this browser and not kept by the page.")} />
      <${ErrorText} error=${refused} />
      <button class="primary" disabled=${signIn.busy || !token.trim()}>${t("Sign in")}</button>
    </form>
    <details>
      <summary>${t("Where do I get a token?")}</summary>
      <p>${t("In Home Assistant, open Wallcast from the sidebar: there you need none, and can make one under Access. On the computer that runs Wallcast:")}</p>
      <pre tabindex="0"><code>wallcast token create --role admin</code></pre>
    </details>
  </main>`;
}
