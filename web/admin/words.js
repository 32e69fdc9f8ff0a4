// Translated texts and localized times and numbers. English texts are in the code and serve as keys; a file such as
// `words/de.js` maps each to its translation. To add a language, add its file and a line in LANGUAGES.

import { preferredLanguages, storeLanguage } from "../shared/words.js";
import german from "./words/de.js";

/** Languages by code: name and translations. */
export const LANGUAGES = { en: ["English", {}], de: ["Deutsch", german] };

export const language = chooseLanguage();
const [, table] = LANGUAGES[language];
document.documentElement.lang = language;

function chooseLanguage() {
  const wanted = preferredLanguages().map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

/** Stores the language and reloads the page. */
export function setLanguage(code) {
  try {
    storeLanguage(code);
  } catch {
    // Storage may be blocked; then the choice is lost.
  }
  location.reload();
}

/** Translates a text and replaces each `{name}` by `values.name`. */
export function t(sentence, values = {}) {
  const text = table[sentence] ?? sentence;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Translates `one` if `n` is 1, else `many`; both may contain `{n}`. */
export function count(n, one, many) {
  return t(n === 1 ? one : many, { n: number(n) });
}

/** The user's locale with its region, if it is of the chosen language. */
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

/** The time for today, else the date. */
export function shortTime(at) {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date);
}

export function fullTime(at) {
  return full.format(new Date(at));
}

/** A duration in its largest unit. */
export function span(ms) {
  for (const [unit, size] of [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]]) {
    if (ms >= size || unit === "second") {
      return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }).format(Math.round(ms / size));
    }
  }
  return "";
}
