// GET /api/openapi.json before a public validator, and the running daemon before schemathesis, which
// asks whatever the document allows and more, as each kind of caller.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createArea, pair, run, startDaemon } from "./support.mjs";

const PYTHON = process.env.PYTHON ?? "python3";
/** `make test` asks a little of everything; `make test-all` sets this to go deeper. */
const IS_LONG = process.env.WALLCAST_FUZZ === "long";
const CONFIG = fileURLToPath(new URL("schemathesis.toml", import.meta.url));
const SEED = process.env.WALLCAST_SEED ?? "4";

/** Runs a program to its end and gives what it printed; a failure of it is one of the test. */
async function toEnd(t, program, args, options) {
  const running = run(t, program, args, options);
  let printed = "";
  for (const stream of [running.child.stdout, running.child.stderr]) {
    stream.on("data", (chunk) => (printed += chunk));
  }
  assert.equal(await running.exited, 0, printed);
  return printed;
}

test("the document is valid OpenAPI 3.1 and everyone may read it", async (t) => {
  const daemon = await startDaemon(t);
  const { status, headers, text, body } = await daemon.as()("GET", "/api/openapi.json");
  assert.equal(status, 200);
  assert.equal(headers["content-type"], "application/json; charset=utf-8");
  assert.match(body.openapi, /^3\.1\./);
  const health = await daemon.as()("GET", "/health");
  assert.equal(body.info.version, health.body.version);
  const file = path.join(daemon.folder, "openapi.json");
  await writeFile(file, text);
  const printed = await toEnd(t, PYTHON, ["-m", "openapi_spec_validator", "--schema", "3.1", file]);
  assert.match(printed, /OK/);
});

/** A daemon with something of each kind in it, and a token for each kind of caller. */
async function house(t) {
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
  return { daemon, tokens: { admin: daemon.adminToken, tablet: tablet.token, stranger: undefined } };
}

describe("whatever is asked", { concurrency: true }, () => {
  for (const who of ["admin", "tablet", "stranger"]) {
    test(`nothing that ${who === "admin" ? "an" : "a"} ${who} asks gets an answer that is not in the document`, async (t) => {
      const { daemon, tokens } = await house(t);
      const url = `http://localhost:${daemon.plainPort}`;
      const args = ["--config-file", CONFIG, "run", `${url}/api/openapi.json`, "--seed", SEED, "--no-color"];
      args.push("--generation-database", "none", "--request-timeout", "15", "--max-failures", "20");
      // Not even an admin may end the token that it asks with, nor a tablet change its own for another.
      args.push("--exclude-operation-id", "delete_api_tokens_jti", "--exclude-operation-id", "post_api_tokens_refresh");
      if (IS_LONG) args.push("--max-examples", "100");
      else args.push("--max-examples", "3", "--phases", "examples,coverage,fuzzing", "--no-shrink");
      const token = tokens[who];
      if (token) args.push("--header", `Authorization: Bearer ${token}`);
      const program = path.join(path.dirname(PYTHON), "schemathesis");
      const printed = await toEnd(t, program, args, { cwd: daemon.folder });
      t.diagnostic(/\d+ generated.*/.exec(printed)?.[0] ?? "");
      if (token) assert.equal((await daemon.as(token)("GET", "/api/me")).status, 200, "it asked as itself to the end");
      assert.equal((await daemon.as()("GET", "/health")).status, 200);
    });
  }
});
