// Checks GET /api/openapi.json with a public validator, and fuzzes the running daemon with schemathesis in each role.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createArea, pair, run, startDaemon } from "./support.mjs";

const PYTHON = process.env.PYTHON ?? "python3";
/** `make test` fuzzes every operation briefly. `make fuzz` and `make test-all` set this for a longer run. */
const IS_LONG = process.env.WALLCAST_FUZZ === "long";
const CONFIG = fileURLToPath(new URL("schemathesis.toml", import.meta.url));
const SEED = process.env.WALLCAST_SEED ?? "4";

/** Runs a program to its end and returns its output. Fails unless it exits with 0. */
async function runToEnd(t, program, args, options) {
  const running = run(t, program, args, options);
  let printed = "";
  for (const stream of [running.child.stdout, running.child.stderr]) {
    stream.on("data", (chunk) => (printed += chunk));
  }
  assert.equal(await running.exited, 0, printed);
  return printed;
}

test("the document is valid OpenAPI 3.1 and needs no token", async (t) => {
  const daemon = await startDaemon(t);
  const { status, headers, text, body } = await daemon.as()("GET", "/api/openapi.json");
  assert.equal(status, 200);
  assert.equal(headers["content-type"], "application/json; charset=utf-8");
  assert.match(body.openapi, /^3\.1\./);
  const health = await daemon.as()("GET", "/health");
  assert.equal(body.info.version, health.body.version);
  const file = path.join(daemon.folder, "openapi.json");
  await writeFile(file, text);
  const printed = await runToEnd(t, PYTHON, ["-m", "openapi_spec_validator", "--schema", "3.1", file]);
  assert.match(printed, /OK/);
});

/** Starts a daemon with one resource of each kind, and returns a token for each role. */
async function setUp(t) {
  const daemon = await startDaemon(t, { WALLCAST_PLAIN_LISTEN: "127.0.0.1:0" });
  const tablet = await pair(daemon, "Wall", [await createArea(daemon, "Kitchen")]);
  for (const [where, body] of [
    ["services", { name: "Heating" }],
    ["incidents", { title: "Cold" }],
    ["lockers", { kioskId: tablet.id, state: "closed" }],
    ["help", { kioskId: tablet.id, category: "access" }],
    ["commands", { clientId: tablet.id, type: "open" }],
    ["messages", { to: { clientId: tablet.id }, body: "Hello" }],
    ["pairing/requests", {}],
  ]) {
    assert.equal((await daemon.admin("POST", `/api/${where}`, body)).status, 201, where);
  }
  return { daemon, tokens: { admin: daemon.adminToken, tablet: tablet.token, unauthenticated: undefined } };
}

describe("fuzzing", { concurrency: true }, () => {
  for (const role of ["admin", "tablet", "unauthenticated"]) {
    test(`responses to ${role} requests conform to the document`, async (t) => {
      const { daemon, tokens } = await setUp(t);
      const url = `http://localhost:${daemon.plainPort}`;
      const args = ["--config-file", CONFIG, "run", `${url}/api/openapi.json`, "--seed", SEED, "--no-color"];
      args.push("--generation-database", "none", "--request-timeout", "15", "--max-failures", "20");
      // These operations could revoke or replace the token that the fuzzer uses.
      args.push("--exclude-operation-id", "delete_api_tokens_jti", "--exclude-operation-id", "post_api_tokens_refresh");
      if (IS_LONG) args.push("--max-examples", "100");
      else args.push("--max-examples", "3", "--phases", "examples,coverage,fuzzing", "--no-shrink");
      const token = tokens[role];
      if (token) args.push("--header", `Authorization: Bearer ${token}`);
      const program = path.join(path.dirname(PYTHON), "schemathesis");
      const printed = await runToEnd(t, program, args, { cwd: daemon.folder });
      t.diagnostic(/\d+ generated.*/.exec(printed)?.[0] ?? "");
      if (token) assert.equal((await daemon.as(token)("GET", "/api/me")).status, 200, "the token is still valid");
      assert.equal((await daemon.as()("GET", "/health")).status, 200);
    });
  }
});
