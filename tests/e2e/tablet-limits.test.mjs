// The tablet app's limits for old browsers and slow networks: ES2018 syntax, style sheets for Chrome 64 and Safari
// 11.1, and a first page of at most 100 kB.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "acorn";

import { de } from "../../web/tablet/words/de.js";
import { en } from "../../web/tablet/words/en.js";
import { startBrowser } from "./browser.mjs";
import { startDaemon } from "./support.mjs";

const WEB = fileURLToPath(new URL("../../web/", import.meta.url));
const read = (file) => readFile(path.join(WEB, file), "utf8");

/** The ECMAScript version that Chrome 64, Firefox 65 and Safari 11.1 all support. */
const OLDEST_SYNTAX = 2018;
const MAX_BYTES = 100_000;

/** All modules that a module imports, directly or indirectly. */
async function modulesOf(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, name] of (await read(file)).matchAll(/(?:from|import)\s*"(\.[^"]+)"/g)) {
    await modulesOf(path.posix.join(path.posix.dirname(file), name), found);
  }
  return found;
}

test("every script of the tablet app has ES2018 syntax", async () => {
  const modules = await modulesOf("tablet/app.js");
  assert.ok(modules.has("vendor/preact/preact.js") && modules.has("wallcast.js"));
  for (const file of modules) parse(await read(file), { ecmaVersion: OLDEST_SYNTAX, sourceType: "module" });
  for (const file of ["shared/theme.js", "tablet/sw.js"]) {
    parse(await read(file), { ecmaVersion: OLDEST_SYNTAX, sourceType: "script" });
  }
});

test("no script of the tablet app uses newer browser APIs", async () => {
  const newer =
    /\.(?:flat|flatMap|replaceAll|matchAll|at|findLast|toSorted|toReversed|allSettled|any)\(|Object\.(?:fromEntries|hasOwn)|structuredClone|globalThis|AbortController|randomUUID|RelativeTimeFormat|ResizeObserver|import\.meta|\bimport\(/;
  for (const file of await modulesOf("tablet/app.js")) {
    if (file.startsWith("vendor/")) continue;
    assert.doesNotMatch(await read(file), newer, file);
  }
});

test("style sheets use no newer CSS features", async () => {
  const newer =
    /\b(?:clamp|min|max|color-mix)\(|\binset:|aspect-ratio:|:(?:is|where|has)\(|\d(?:dvh|svh|lvh|cqw)|@(?:layer|container|property)|(?:^|[^-])\bgap:|^\s*&/m;
  const sheets = [...(await read("tablet/index.html")).matchAll(/{{assets}}\/([^"]+\.css)/g)].map(([, file]) => file);
  assert.ok(sheets.length > 4);
  for (const file of sheets) {
    assert.doesNotMatch(await read(file), newer, file);
  }
});

test("the page preloads every module", async () => {
  const page = await read("tablet/index.html");
  const preloaded = [...page.matchAll(/modulepreload" href="{{assets}}\/([^"]+)"/g)].map(([, file]) => file);
  const modules = await modulesOf("tablet/app.js");
  modules.delete("tablet/app.js");
  assert.deepEqual(preloaded.sort(), [...modules].sort());
});

test("every language has all texts with the same placeholders", async () => {
  assert.deepEqual(Object.keys(de).sort(), Object.keys(en).sort());
  const values = (entry) =>
    typeof entry === "function" ? ["n"] : [...entry.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const key of Object.keys(en)) {
    const [one, other] = [values(en[key]), values(de[key])];
    if (typeof en[key] !== "function") assert.deepEqual(other, one, key);
  }
  const sources = await Promise.all((await readdir(path.join(WEB, "tablet"))).filter((file) => file.endsWith(".js")).map((file) => read(`tablet/${file}`)));
  for (const [, key] of sources.join("\n").matchAll(/\bt\("(\w+)"/g)) assert.ok(key in en, key);
});

test("the first page loads at most 100 kB", async (t) => {
  const daemon = await startDaemon(t);
  const browser = await startBrowser(t);
  const context = await browser.newContext({ ignoreHTTPSErrors: true, serviceWorkers: "block" });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  let bytes = 0;
  const urls = [];
  await session.send("Network.enable");
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  session.on("Network.requestWillBeSent", ({ request }) => urls.push(request.url));
  await page.goto(daemon.url);
  await page.getByTestId("code").waitFor();
  await page.waitForFunction(() => document.readyState === "complete");
  t.diagnostic(`${bytes} bytes in ${urls.length} requests`);
  assert.ok(bytes > 20_000 && bytes <= MAX_BYTES, `${bytes}`);
  assert.deepEqual(urls.filter((url) => !url.startsWith(daemon.url)), [], "no other host");
});
