// Debian's Chromium for the tests of web pages: isolated windows that record console errors, exceptions and CSP
// violations.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export async function startBrowser(t, more = []) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...FLAGS, ...more] });
  t.after(() => browser.close());
  return browser;
}

/** Opens an isolated window with its own cookies and storage. */
export async function openWindow(browser, options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true, locale: "en-GB", viewport: { width: 1280, height: 900 }, ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error.message}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return {
    context,
    page,
    faults,
    /** Asserts that every recorded fault matches a pattern of `expected`. */
    assertClean(...expected) {
      const left = faults.filter((fault) => !expected.some((pattern) => pattern.test(fault)));
      assert.deepEqual(left, []);
    },
  };
}

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** The violations of WCAG 2.2 AA (or of other axe rules) as text. */
export async function violations(page, rules = RULES) {
  // Playwright's evaluate is not subject to the page's CSP, which forbids inline scripts.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  // eslint-disable-next-line no-undef
  const found = await page.evaluate((runOnly) => axe.run(document, { runOnly }), rules);
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
}
