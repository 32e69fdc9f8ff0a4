// Translations. Each app has one table of texts for each language: `words/en.js`, `words/de.js`, … To add a
// language, add its file and pass it to `chooseLanguage`. The English table is complete; texts that another
// table lacks are shown in English.

/** The user's languages, best first: the one stored by `storeLanguage`, then those of the browser. */
export function preferredLanguages() {
  let chosen = null;
  try {
    chosen = localStorage.getItem("wallcast.language");
  } catch (error) {
    // Without storage the browser's languages apply.
  }
  return (chosen ? [chosen] : []).concat(navigator.languages || [navigator.language || "en"]);
}

/** Stores the user's language; "" returns to the browser's. Takes effect when the page is next loaded. */
export function storeLanguage(language) {
  if (language) localStorage.setItem("wallcast.language", language);
  else localStorage.removeItem("wallcast.language");
}

/**
 * Selects the first of the user's languages that has a table, and returns `{language, t}`. `t(key, values)`
 * is the translated text with `{name}` replaced by `values.name`. An entry may be a function of the values,
 * for plurals.
 */
export function chooseLanguage(tables, languages = preferredLanguages()) {
  const codes = languages.map((tag) => tag.toLowerCase().split("-")[0]);
  const language = codes.find((code) => Object.keys(tables).includes(code)) || "en";
  if (typeof document !== "undefined") document.documentElement.lang = language;
  const t = (key, values = {}) => {
    const translated = tables[language][key];
    const entry = translated === undefined ? tables.en[key] : translated;
    if (entry === undefined) throw new Error(`no text for ${key}`);
    if (typeof entry === "function") return entry(values);
    return entry.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  };
  return { language, t };
}
