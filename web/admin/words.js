// Words and times in the reader's language. English stands in the code; `words/de.js` and its like
// give another language sentence by sentence. A further one is a file and a line in LANGUAGES.

import { storeLanguage, preferredLanguages } from "../shared/words.js";
import german from "./words/de.js";

/** Languages by their code: their own name, and their sentences. */
export const LANGUAGES = { en: ["English", {}], de: ["Deutsch", german] };

export const language = choose();
const [, table] = LANGUAGES[language];
document.documentElement.lang = language;

function choose() {
  const wanted = preferredLanguages().map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

/** Chooses a language and draws the page in it. */
export function speak(code) {
  try {
    storeLanguage(code);
  } catch {
    // A private window forgets it.
  }
  location.reload();
}

/** A sentence with its values in place of `{names}`. */
export function t(sentence, values = {}) {
  const text = table[sentence] ?? sentence;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A sentence that counts: `one` for exactly one, else `many` with `{n}`. */
export function count(n, one, many) {
  return t(n === 1 ? one : many, { n: number(n) });
}

/** The reader's own country's ways, where they are of this language. */
const locale = preferredLanguages().find((tag) => tag.toLowerCase().startsWith(language)) ?? language;
const numbers = new Intl.NumberFormat(locale);
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

export function number(n) {
  return numbers.format(n);
}

export function agoInWords(at) {
  const seconds = (new Date(at) - Date.now()) / 1000;
  const past = -seconds;
  if (past < 5 && past > -5) return t("just now");
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(past) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return relative.format(Math.round(seconds), "second");
}

export function clockTime(at) {
  return clock.format(new Date(at));
}

/** The time today, the day before. */
export function shortTime(at) {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date);
}

export function fullTime(at) {
  return full.format(new Date(at));
}

/** A length of time in one unit. */
export function span(ms) {
  for (const [unit, size] of [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]]) {
    if (ms >= size || unit === "second") {
      return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }).format(Math.round(ms / size));
    }
  }
  return "";
}
