// The HTTP API as the page uses it: relative to wherever the page stands, answers as objects,
// refusals as `ApiError` in words that say what to do next.

import { t } from "./words.js";

/** Where the API begins: the page is `admin/` below it on 8443, and stands at it on ingress. */
export const BASE = new URL(document.documentElement.dataset.base ?? "./", document.baseURI);

/** A refusal, or no answer at all (`status` 0). */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(inWords(status, body ?? {}, retryAfter));
    this.status = status;
    this.code = body?.code ?? (status ? "unexpected" : "unreachable");
    this.field = body?.field;
    this.retryAfterMs = (Number(retryAfter) || 0) * 1000;
  }
}

function inWords(status, { code, error }, retryAfter) {
  if (status === 0) return t("Wallcast does not answer. It may be restarting; try again in a moment.");
  if (status === 401) return t("You are not signed in any more. Sign in again to go on.");
  if (status === 429) {
    return t("That was too often. Wait {seconds} seconds and try again.", { seconds: retryAfter ?? 60 });
  }
  if (code === "unavailable" || status === 503) {
    return t("This cannot be done at the moment: {reason} Try again in a moment.", { reason: sentence(error) });
  }
  if (status === 502 || status === 504) {
    return error
      ? sentence(error)
      : t("Home Assistant cannot reach Wallcast. It may be restarting; try again in a moment.");
  }
  if (status === 404) return t("That is not there any more. Somebody may have removed it meanwhile.");
  return error ? sentence(error) : t("Wallcast answered with status {status}. Try again; if it stays so, Wallcast’s log says why.", { status });
}

function sentence(text) {
  return text && !/[.!?]$/.test(text) ? `${text}.` : (text ?? "");
}

/** One request. A write that got no answer is tried once more: its key makes sure of one effect. */
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
    // A token given for this request must not meet the page's own cookie, nor replace it by chance.
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
  const answer = await response.json().catch(() => undefined);
  if (!response.ok) {
    throw new ApiError(response.status, answer, response.headers.get("retry-after"));
  }
  return answer;
}

/** The answer holds a secret, so the daemon takes no key for it. */
export const UNKEYED = { keyed: false };

/** More rows than a page can use. */
export const MOST_ROWS = 5000;

/** Every page of a list, up to `most` rows. */
export async function listAll(path, plural, most = MOST_ROWS) {
  const rows = [];
  let cursor;
  do {
    const url = `${path}${path.includes("?") ? "&" : "?"}limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`;
    const answer = await call("GET", url);
    rows.push(...answer[plural]);
    cursor = answer.nextCursor;
  } while (cursor && rows.length < most);
  return rows;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
