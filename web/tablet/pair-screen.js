// The first screen: this tablet's own code, large, and a place for an admin's.

import { Button, Icon, html, useEffect, useMemo, useRef, useState, useStore } from "../shared/ui.js";
import { generate } from "../vendor/lean-qr/lean-qr.js";
import { ICONS } from "./icons.js";
import { CODE_LENGTH, codeIn } from "./pairing.js";
import { useNow, why } from "./frame.js";
import { Scanner, canScan } from "./scanner.js";

/** A QR code as one drawing; always dark on light, since not every camera reads the other way. */
export function Qr({ text, label }) {
  const { size, path } = useMemo(() => {
    const code = generate(text);
    let drawn = "";
    for (let y = 0; y < code.size; y += 1) {
      for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) drawn += `M${x} ${y}h1v1h-1z`;
    }
    return { size: code.size, path: drawn };
  }, [text]);
  return html`<svg class="qr" role="img" aria-label=${label} viewBox=${`-3 -3 ${size + 6} ${size + 6}`} shape-rendering="crispEdges">
    <path d=${path} />
  </svg>`;
}

function Countdown({ until, say }) {
  const left = Math.max(0, Math.round((until - useNow(1000)) / 1000));
  const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  return html`<p class="countdown soft numbers">${say("code_lasts", { time })}</p>`;
}

function whyNoCode(error, say) {
  if (error.code === "offline" || error.code === "timeout") return say("pair_offline");
  if (error.status === 429) return say("pair_too_many", { minutes: minutesOf(error.retryAfterMs || 60000) });
  return why(say, error);
}

const minutesOf = (ms) => Math.max(1, Math.ceil(ms / 60000));

function OwnCode({ pairing, say }) {
  const { request } = pairing;
  if (request.phase === "waiting") {
    return html`
      <p class="lead soft">${say("pair_lead")}</p>
      <p class="code" data-testid="code" aria-label=${say("pair_code_is", { code: request.code.split("").join(" ") })}>${request.code}</p>
      <div class="pair-qr">
        <${Qr} text=${request.verificationUrl} label=${say("pair_qr")} />
        <div>
          <p>${say("pair_scan_admin")}</p>
          <${Countdown} until=${Date.parse(request.expiresAt)} say=${say} />
        </div>
      </div>
    `;
  }
  if (request.phase === "starting" || request.phase === "entering") {
    return html`<p class="lead soft" role="status">${say(request.phase === "entering" ? "pair_entering" : "pair_starting")}</p>`;
  }
  const said = request.phase === "failed" ? whyNoCode(request.error, say) : say(`pair_${request.phase}`);
  return html`
    <p class="lead" role="alert">${said}</p>
    ${request.phase === "denied" && request.reason && request.reason !== "denied by admin"
      ? html`<p class="soft">${say("pair_reason", { reason: request.reason })}</p>`
      : null}
    <p><${Button} kind="primary" isLarge onClick=${() => pairing.ask()}>${say("pair_again")}<//></p>
  `;
}

function AdminsCode({ pairing, say }) {
  const { code } = pairing;
  const [typed, type] = useState(code.code || "");
  const [isScanning, scan] = useState(false);
  const input = useRef(null);
  const bring = (digits) => {
    type(digits);
    pairing.bring(digits);
  };
  const onInput = (event) => {
    const digits = event.target.value.replace(/\D/g, "").slice(0, CODE_LENGTH);
    event.target.value = digits;
    type(digits);
    if (digits.length === CODE_LENGTH) bring(digits);
  };
  const isBusy = code.phase === "checking" || code.phase === "entering";
  const isRefused = (code.phase === "refused" || code.phase === "failed") && code.code === typed;
  useEffect(() => {
    if (isRefused && input.current) input.current.select();
  }, [isRefused]);
  const retry = isRefused && code.error.retryAfterMs;
  const said = !isRefused
    ? null
    : code.error.code === "invalid_code"
      ? say("code_wrong")
      : retry
        ? say("code_too_many", { minutes: minutesOf(retry) })
        : code.error.code === "offline" || code.error.code === "timeout"
          ? say("pair_offline")
          : why(say, code.error);
  return html`<form
    class="admins-code"
    onSubmit=${(event) => {
      event.preventDefault();
      if (typed.length === CODE_LENGTH) bring(typed);
    }}
  >
    <label for="admins-code">${say("code_label")}</label>
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
      html`<${Button} onClick=${() => scan(true)}><${Icon} path=${ICONS.scan} /><span class="after-icon">${say("scan")}</span><//>`}
    </div>
    <p id="code-said" class=${isRefused ? "error" : "soft small"} role="status">${isBusy ? say("code_checking") : said || say("code_hint")}</p>
    ${isScanning &&
    html`<${Scanner}
      say=${say}
      onFound=${(text) => {
        const found = codeIn(text);
        if (!found) return false;
        scan(false);
        bring(found);
        return true;
      }}
      onClose=${() => scan(false)}
    />`}
  </form>`;
}

/** `notice`: why this tablet is not paired any more, as `{title, text}`. */
export function PairScreen({ pairing, say, notice }) {
  useStore(pairing);
  return html`<main class="pair">
    <div class="pair-sheet">
      <header>
        <p class="brand">Wallcast</p>
        <h1>${notice ? notice.title : say("pair_title")}</h1>
        ${notice && html`<p class="lead soft">${notice.text}</p>`}
      </header>
      <section class="own-code"><${OwnCode} pairing=${pairing} say=${say} /></section>
      <section class="other-way"><${AdminsCode} pairing=${pairing} say=${say} /></section>
    </div>
  </main>`;
}
