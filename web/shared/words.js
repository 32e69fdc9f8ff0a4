// Every sentence that an app says comes from a table, one file a language: `words/en.js`, `words/de.js`, …
// A language is added by its file and one line where the app calls `choose`. English is whole; what
// another table lacks is said in English.

/** The languages that the reader prefers, best first; a choice made here comes before the browser's. */
export function preferred() {
  let chosen = null;
  try {
    chosen = localStorage.getItem("wallcast.language");
  } catch (error) {
    // Then the browser's word counts.
  }
  return (chosen ? [chosen] : []).concat(navigator.languages || [navigator.language || "en"]);
}

/** Keeps a language, or with "" the browser's. It holds from the next page on. */
export function prefer(language) {
  if (language) localStorage.setItem("wallcast.language", language);
  else localStorage.removeItem("wallcast.language");
}

/**
 * Takes the first table, by language, that the reader prefers, and gives `{language, say}`.
 * `say(key, values)` puts values into `{name}`; an entry may be a function of the values, for plurals.
 */
export function choose(tables, languages = preferred()) {
  const known = languages.map((one) => one.toLowerCase().split("-")[0]).find((one) => Object.keys(tables).includes(one));
  const language = known || "en";
  if (typeof document !== "undefined") document.documentElement.lang = language;
  const say = (key, values = {}) => {
    const found = tables[language][key];
    const entry = found === undefined ? tables.en[key] : found;
    if (entry === undefined) throw new Error(`no words for ${key}`);
    if (typeof entry === "function") return entry(values);
    return entry.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  };
  return { language, say };
}
