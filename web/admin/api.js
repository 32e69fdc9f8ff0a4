// HTTP client of the admin page. Responses are parsed JSON; errors are `ApiError`s with a translated message that
// says what to do next.

import { t } from "./words.js";

/** Base URL of the API: the parent of `admin/` on port 8443, the page's own path on ingress. */
export const BASE = new URL(document.documentElement.dataset.base ?? "./", document.baseURI);

/** An error response, or no response at all (`status` 0). */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(errorText(status, body ?? {}, retryAfter));
    this.status = status;
    this.code = body?.code ?? (status ? "unexpected" : "unreachable");
    this.field = body?.field;
    this.retryAfterMs = (Number(retryAfter) || 0) * 1000;
  }
}

function errorText(status, { code, error }, retryAfter) {
  if (status === 0) return t("Wallcast does not answer. It may be restarting; try again in a moment.");
  if (status === 401) return t("You are not signed in any more. Sign in again to go on.");
  if (status === 429) {
    return t("That was too often. Wait {seconds} seconds and try again.", { seconds: retryAfter ?? 60 });
  }
  if (code === "unavailable" || status === 503) {
    return t("This cannot be done at the moment: {reason} Try again in a moment.", { reason: withPeriod(error) });
  }
  if (status === 502 || status === 504) {
    return error
      ? withPeriod(error)
      : t("Home Assistant cannot reach Wallcast. It may be restarting; try again in a moment.");
  }
  if (status === 404) return t("That is not there any more. Somebody may have removed it meanwhile.");
  return error ? withPeriod(error) : t("Wallcast answered with status {status}. Try again; if it stays so, Wallcast’s log says why.", { status });
}

function withPeriod(text) {
  return text && !/[.!?]$/.test(text) ? `${text}.` : (text ?? "");
}

/**
 * Sends one request and returns its JSON body, undefined for 204. A keyed write without a response is retried once: the
 * `Idempotency-Key` prevents a second effect (docs/protocol.md#idempotency).
 */
export async function call(method, path, body, { token, keyed = method !== "GET", takesCookie = !token } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  if (keyed) headers["Idempotency-Key"] = newKey();
  const request = {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    redirect: "error",
    // With an explicit token, neither send the page's session cookie nor let the response replace it.
    credentials: takesCookie ? "same-origin" : "omit",
  };
  const url = new URL(path, BASE);
  let response;
  try {
    response = await fetch(url, request);
  } catch {
    if (!keyed) throw new ApiError(0);
    await new Promise((resolve) => setTimeout(resolve, 600));
    response = await fetch(url, request).catch(() => {
      throw new ApiError(0);
    });
  }
  if (response.status === 204) return undefined;
  const result = await response.json().catch(() => undefined);
  if (!response.ok) {
    throw new ApiError(response.status, result, response.headers.get("retry-after"));
  }
  return result;
}

/** For requests whose response contains a secret: the server does not accept an `Idempotency-Key` for them. */
export const UNKEYED = { keyed: false };

/** Upper bound of the rows loaded for one list. */
export const MAX_ROWS = 5000;

/** Loads all pages of a list (docs/protocol.md#lists), up to about `maxRows` rows. */
export async function listAll(path, plural, maxRows = MAX_ROWS) {
  const rows = [];
  let cursor;
  do {
    const url = `${path}${path.includes("?") ? "&" : "?"}limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`;
    const result = await call("GET", url);
    rows.push(...result[plural]);
    cursor = result.nextCursor;
  } while (cursor && rows.length < maxRows);
  return rows;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
