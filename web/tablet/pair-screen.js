// The pairing screen: shows the code of this tablet's own request, and accepts a code from an admin.

import { Button, Icon, html, useEffect, useMemo, useRef, useState, useStore } from "../shared/ui.js";
import { generate } from "../vendor/lean-qr/lean-qr.js";
import { ICONS } from "./icons.js";
import { CODE_LENGTH, findCode } from "./pairing.js";
import { errorText, useNow } from "./frame.js";
import { Scanner, canScan } from "./scanner.js";

/** A QR code as SVG. Dark on light in every theme, because not all cameras read inverted codes. */
export function Qr({ text, label }) {
  const { size, path } = useMemo(() => {
    const code = generate(text);
    let path = "";
    for (let y = 0; y < code.size; y += 1) {
      for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) path += `M${x} ${y}h1v1h-1z`;
    }
    return { size: code.size, path };
  }, [text]);
  return html`<svg class="qr" role="img" aria-label=${label} viewBox=${`-3 -3 ${size + 6} ${size + 6}`} shape-rendering="crispEdges">
    <path d=${path} />
  </svg>`;
}

function Countdown({ until, t }) {
  const secondsLeft = Math.max(0, Math.round((until - useNow(1000)) / 1000));
  const time = `${Math.floor(secondsLeft / 60)}:${String(secondsLeft % 60).padStart(2, "0")}`;
  return html`<p class="countdown soft numbers">${t("code_lasts", { time })}</p>`;
}

function requestErrorText(error, t) {
  if (error.code === "offline" || error.code === "timeout") return t("pair_offline");
  if (error.status === 429) return t("pair_too_many", { minutes: toMinutes(error.retryAfterMs || 60000) });
  return errorText(t, error);
}

const toMinutes = (ms) => Math.max(1, Math.ceil(ms / 60000));

function OwnCode({ pairing, t }) {
  const { request } = pairing;
  if (request.phase === "waiting") {
    return html`
      <p class="lead soft">${t("pair_lead")}</p>
      <p class="code" data-testid="code" aria-label=${t("pair_code_is", { code: request.code.split("").join(" ") })}>${request.code}</p>
      <div class="pair-qr">
        <${Qr} text=${request.verificationUrl} label=${t("pair_qr")} />
        <div>
          <p>${t("pair_scan_admin")}</p>
          <${Countdown} until=${Date.parse(request.expiresAt)} t=${t} />
        </div>
      </div>
    `;
  }
  if (request.phase === "starting" || request.phase === "entering") {
    return html`<p class="lead soft" role="status">${t(request.phase === "entering" ? "pair_entering" : "pair_starting")}</p>`;
  }
  const text = request.phase === "failed" ? requestErrorText(request.error, t) : t(`pair_${request.phase}`);
  return html`
    <p class="lead" role="alert">${text}</p>
    ${request.phase === "denied" && request.reason && request.reason !== "denied by admin"
      ? html`<p class="soft">${t("pair_reason", { reason: request.reason })}</p>`
      : null}
    <p><${Button} kind="primary" isLarge onClick=${() => pairing.requestApproval()}>${t("pair_again")}<//></p>
  `;
}

function AdminCode({ pairing, t }) {
  const { code } = pairing;
  const [typed, setTyped] = useState(code.code || "");
  const [isScanning, setScanning] = useState(false);
  const input = useRef(null);
  const submitCode = (digits) => {
    setTyped(digits);
    pairing.submitCode(digits);
  };
  const onInput = (event) => {
    const digits = event.target.value.replace(/\D/g, "").slice(0, CODE_LENGTH);
    event.target.value = digits;
    setTyped(digits);
    if (digits.length === CODE_LENGTH) submitCode(digits);
  };
  const isBusy = code.phase === "checking" || code.phase === "entering";
  const isRefused = (code.phase === "refused" || code.phase === "failed") && code.code === typed;
  useEffect(() => {
    if (isRefused && input.current) input.current.select();
  }, [isRefused]);
  const retryAfterMs = isRefused && code.error.retryAfterMs;
  const text = !isRefused
    ? null
    : code.error.code === "invalid_code"
      ? t("code_wrong")
      : retryAfterMs
        ? t("code_too_many", { minutes: toMinutes(retryAfterMs) })
        : code.error.code === "offline" || code.error.code === "timeout"
          ? t("pair_offline")
          : errorText(t, code.error);
  return html`<form
    class="admins-code"
    onSubmit=${(event) => {
      event.preventDefault();
      if (typed.length === CODE_LENGTH) submitCode(typed);
    }}
  >
    <label for="admins-code">${t("code_label")}</label>
    <div class="code-row">
      <input
        id="admins-code"
        class="code-input numbers"
        ref=${input}
        inputmode="numeric"
        autocomplete="one-time-code"
        placeholder="000000"
        pattern="[0-9]*"
        value=${typed}
        aria-invalid=${isRefused ? "true" : undefined}
        aria-describedby="code-said"
        readonly=${isBusy}
        onInput=${onInput}
      />
      ${canScan() &&
      html`<${Button} onClick=${() => setScanning(true)}><${Icon} path=${ICONS.scan} /><span class="after-icon">${t("scan")}</span><//>`}
    </div>
    <p id="code-said" class=${isRefused ? "error" : "soft small"} role="status">${isBusy ? t("code_checking") : text || t("code_hint")}</p>
    ${isScanning &&
    html`<${Scanner}
      t=${t}
      onFound=${(text) => {
        const found = findCode(text);
        if (!found) return false;
        setScanning(false);
        submitCode(found);
        return true;
      }}
      onClose=${() => setScanning(false)}
    />`}
  </form>`;
}

/** `notice` explains why this tablet is no longer paired: `{title, text}`, or undefined. */
export function PairScreen({ pairing, t, notice }) {
  useStore(pairing);
  return html`<main class="pair">
    <div class="pair-sheet">
      <header>
        <p class="brand">Wallcast</p>
        <h1>${notice ? notice.title : t("pair_title")}</h1>
        ${notice && html`<p class="lead soft">${notice.text}</p>`}
      </header>
      <section class="own-code"><${OwnCode} pairing=${pairing} t=${t} /></section>
      <section class="other-way"><${AdminCode} pairing=${pairing} t=${t} /></section>
    </div>
  </main>`;
}
