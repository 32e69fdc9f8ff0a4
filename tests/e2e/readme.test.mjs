// Runs the walk and the examples of the README, so that they stay correct.

import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { BINARY, createArea, pair, run, startDaemon } from "./support.mjs";

const README = await readFile(new URL("../../README.md", import.meta.url), "utf8");

/** The fenced block after the comment `<!-- name -->`. */
function block(name) {
  const found = new RegExp(`<!-- ${name} -->\\n\`\`\`\\w+\\n([^]*?)\`\`\``).exec(README);
  assert.ok(found, `README.md has no block ${name}`);
  return found[1];
}

test("the walk ends with an event on the tablet", async (t) => {
  const daemon = await startDaemon(t);
  const folder = path.join(daemon.folder, "project");
  await mkdir(path.join(folder, "target/release"), { recursive: true });
  await symlink(daemon.folder, path.join(folder, "data"));
  await symlink(BINARY, path.join(folder, "target/release/wallcast"));
  const steps = ["prepare", "pair", "listen", "change"].map((name) => block(`walk: ${name}`));
  // Wait until the tablet is connected. A person sees that in the terminal.
  steps.splice(3, 0, "while ! grep -q connection watched; do :; done");
  const script = ["shopt -s expand_aliases", ...steps]
    .join("\n")
    .replaceAll("https://localhost:8443", daemon.url)
    .replace("--ca ca.crt &", "--ca ca.crt > watched 2>&1 &");
  const walk = run(t, "bash", ["-c", `${script}\nwhile ! grep -q area_updated watched; do :; done; cat watched`], {
    cwd: folder,
    env: { PATH: process.env.PATH },
  });
  const printed = await walk.until(/area_updated.*Kitchen \(Updated\)/);
  assert.match(printed, /Type \d{6} on the tablet/);
});

const EXAMPLES = {
  javascript: (file) => [process.execPath, [file], "mjs"],
  python: (file) => [process.env.PYTHON ?? "python3", [file], "py"],
};

for (const [language, start] of Object.entries(EXAMPLES)) {
  test(`the ${language} example receives its area's events, resumes after a kill and stops when revoked`, async (t) => {
    const daemon = await startDaemon(t);
    const area = await createArea(daemon, "Kitchen");
    const tablet = await pair(daemon, "Wall", [area]);
    const file = path.join(daemon.folder, language === "python" ? "tablet.py" : "tablet.mjs");
    await writeFile(file, block(`example: ${language}`));
    await writeFile(path.join(daemon.folder, "ca.crt"), daemon.ca);
    await symlink(fileURLToPath(new URL("node_modules", import.meta.url)), path.join(daemon.folder, "node_modules"));
    const [program, args] = start(file);
    const example = run(t, program, args, {
      cwd: daemon.folder,
      env: { PATH: process.env.PATH, WALLCAST_URL: daemon.url, WALLCAST_TOKEN: tablet.token },
    });
    await example.until(/Kitchen/);
    await daemon.admin("PUT", `/api/areas/${area}`, { name: "Kitchen (Updated)" });
    await example.until(/area_updated.*Kitchen \(Updated\)/);
    await daemon.restart("SIGKILL");
    await daemon.admin("PUT", `/api/areas/${area}`, { name: "Kitchen (Again)" });
    await example.until(/area_updated.*Kitchen \(Again\)/);
    await daemon.admin("POST", `/api/clients/${tablet.id}/revoke`, { reason: "lost" });
    await example.until(/revoked.*lost/);
  });
}
