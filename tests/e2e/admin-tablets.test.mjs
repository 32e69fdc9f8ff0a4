// Managing a paired tablet on the admin page: areas, messages, commands, help requests and revocation.

import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";

import { openIngress, startEnvironment, visit } from "./admin.mjs";
import { createArea, pair, within } from "./support.mjs";

/** A tablet without a screen: it acknowledges events, answers commands and records what it receives. */
async function connectTablet(t, daemon, token) {
  const socket = new WebSocket(`${daemon.url.replace("https", "wss")}/ws`, {
    ca: daemon.ca,
    headers: { authorization: `Bearer ${token}` },
  });
  t.after(() => socket.terminate());
  const received = [];
  const waiting = new Set();
  const send = (type, data) => socket.send(JSON.stringify({ type, data }));
  socket.on("message", (frame) => {
    const event = JSON.parse(frame);
    received.push(event);
    if (event.id) send("ack", { id: event.id });
    if (event.type === "command") {
      const isKnown = event.data.type !== "dance";
      send("command_result", { commandId: event.data.commandId, success: isKnown, error: isKnown ? undefined : "I cannot dance" });
    }
    waiting.forEach((check) => check());
  });
  const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  const receive = (type) =>
    within(type, new Promise((resolve) => {
      const check = () => {
        const index = received.findIndex((event) => event.type === type);
        if (index < 0) return;
        waiting.delete(check);
        resolve(received.splice(index, 1)[0]);
      };
      waiting.add(check);
      check();
    }));
  await receive("connection");
  return { send, receive, closed };
}

async function setUp(t) {
  const env = await startEnvironment(t);
  const areas = {};
  for (const name of ["Kitchen", "Hall"]) areas[name] = await createArea(env.daemon, name);
  const paired = await pair(env.daemon, "Wall", [areas.Kitchen]);
  const tablet = await connectTablet(t, env.daemon, paired.token);
  const admin = await openIngress(env);
  return { env, areas, paired, tablet, admin, page: admin.page };
}

test("areas are assigned, toggled, changed and deleted, with the number of affected tablets shown", async (t) => {
  const { areas, paired, tablet, admin, page } = await setUp(t);
  await visit(page, `tablets/${paired.id}`);
  await page.getByLabel("Hall", { exact: true }).check();
  await page.getByText("1 tablet will be told.").waitFor();
  await page.getByRole("button", { name: "Save areas" }).click();
  assert.equal((await tablet.receive("area_added")).data.areaId, areas.Hall);

  await visit(page, "areas");
  await page.getByRole("switch", { name: "Hall is switched on" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 tablet will be told.").waitFor();
  await dialog.getByRole("button", { name: "Switch off" }).click();
  await tablet.receive("area_disabled");
  await page.locator('[role="switch"][aria-checked="false"]').waitFor();

  const row = page.locator(".area-row", { hasText: "Kitchen" });
  await row.getByRole("button", { name: "Edit" }).click();
  await dialog.getByLabel("Entities").fill("light.kitchen\nnot an entity");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByRole("alert").waitFor();
  await dialog.getByLabel("Entities").fill("light.kitchen");
  await dialog.getByLabel("Name").fill("Big kitchen");
  await dialog.getByRole("button", { name: "Save" }).click();
  assert.deepEqual((await tablet.receive("area_updated")).data.entityIds, ["light.kitchen"]);
  await page.getByText("Big kitchen").first().waitFor();

  await page.locator(".area-row", { hasText: "Hall" }).getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Continue…" }).click();
  await dialog.getByText("This cannot be taken back").waitFor();
  await dialog.getByRole("button", { name: "Delete Hall" }).click();
  assert.equal((await tablet.receive("area_removed")).data.reason, "deleted");
  admin.assertClean(/422/);
});

test("several tablets are assigned areas in one step", async (t) => {
  const { env, admin, page } = await setUp(t);
  await pair(env.daemon, "Desk", []);
  await visit(page, "tablets");
  for (const name of ["Wall", "Desk"]) await page.getByLabel(`Choose ${name}`).check();
  await page.getByRole("button", { name: "Areas of 2 tablets…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("No tablet will be told.").waitFor();
  await dialog.getByLabel("Kitchen").check();
  // One of the two tablets has the area already.
  await dialog.getByText("1 tablet will be told.").waitFor();
  await dialog.getByLabel("Hall").check();
  await dialog.getByText("2 tablets will be told.").waitFor();
  await dialog.getByRole("button", { name: "Apply" }).click();
  await page.locator(".tablet-row", { hasText: "Desk" }).getByText("Hall").waitFor();
  const { clients } = (await env.daemon.admin("GET", "/api/clients")).body;
  for (const client of clients) assert.deepEqual(client.assignedAreas.map(({ name }) => name).sort(), ["Hall", "Kitchen"]);
  admin.assertClean();
});

test("messages and commands reach a tablet and their outcome is shown", async (t) => {
  const { paired, tablet, admin, page } = await setUp(t);
  await visit(page, `tablets/${paired.id}`);
  await page.getByLabel("Text").fill("Dinner <b>is</b> ready");
  await page.getByRole("button", { name: "Send" }).click();
  const { message } = (await tablet.receive("new_message")).data;
  assert.equal(message.body, "Dinner <b>is</b> ready");
  tablet.send("message_status", { messageId: message.id, status: "read" });

  await page.getByLabel("What to do").selectOption("identify");
  await page.getByRole("button", { name: "Give" }).click();
  assert.equal((await tablet.receive("command")).data.type, "identify");
  await page.locator(".outcomes").getByText("done").waitFor();
  await page.getByLabel("What to do").selectOption("brightness");
  await page.getByLabel("Percent").fill("40");
  await page.getByRole("button", { name: "Give" }).click();
  assert.deepEqual((await tablet.receive("command")).data.parameters, { level: 40 });
  await page.getByLabel("What to do").selectOption("custom");
  await page.getByLabel("Type").fill("dance");
  await page.getByRole("button", { name: "Give" }).click();
  await page.locator(".outcomes").getByText("I cannot dance").waitFor();

  await visit(page, "messages");
  await page.locator(".list").getByRole("link", { name: /Wall/ }).click();
  const thread = page.locator(".thread");
  // Message text is shown as text, not as HTML.
  await thread.getByText("Dinner <b>is</b> ready").waitFor();
  await thread.getByText(/· read$/).waitFor();
  tablet.send("typing", { conversationId: message.conversationId, isTyping: true });
  await thread.getByText("Wall is writing").waitFor();
  await thread.getByLabel("Answer").fill("Hurry up");
  await thread.getByRole("button", { name: "Send" }).click();
  assert.equal((await tablet.receive("new_message")).data.message.body, "Hurry up");
  admin.assertClean();
});

test("a help request is shown at once, acknowledged and resolved", async (t) => {
  const { env, tablet, admin, page } = await setUp(t);
  await visit(page, "overview");
  tablet.send("help_request", { category: "access_issue", note: "The door is stuck" });
  await page.getByText("Help: Access issue").waitFor();
  await page.locator("nav").getByRole("link", { name: "Help requests 1" }).click();
  await page.getByRole("button", { name: "Take it on" }).click();
  await page.getByText("somebody is on it", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Resolved" }).click();
  await page.getByText("Nobody needs help at the moment").waitFor();
  const { helpRequests } = (await env.daemon.admin("GET", "/api/help")).body;
  assert.equal(helpRequests[0].status, "resolved");
  admin.assertClean();
});

test("the tablet view shows only the tablet's areas, and revoking needs a second confirmation", async (t) => {
  const { env, paired, tablet, admin, page } = await setUp(t);
  await visit(page, `tablets/${paired.id}`);
  await page.getByRole("button", { name: "Look with its eyes" }).click();
  await page.locator(".seen").getByText("Kitchen").waitFor();
  assert.equal(await page.locator(".seen").getByText("Hall").count(), 0);
  await page.getByRole("button", { name: "Revoke…" }).click();
  const dialog = page.getByRole("dialog");
  assert.equal(await dialog.getByRole("button", { name: "Revoke Wall" }).count(), 0);
  await dialog.getByRole("button", { name: "Continue…" }).click();
  await dialog.getByRole("button", { name: "Cancel" }).and(page.locator(":focus")).waitFor();
  await dialog.getByRole("button", { name: "Revoke Wall" }).click();
  await tablet.receive("token_revoked");
  assert.equal(await within("the close", tablet.closed), 4403);
  assert.equal((await env.daemon.as(paired.token)("GET", "/api/me")).status, 401);
  await page.getByRole("button", { name: "Ask again" }).click();
  await page.getByText("no token of it stands").waitFor();
  await page.getByText("Not paired").waitFor();
  await visit(page, "tablets");
  await page.getByRole("listitem").filter({ hasText: "Wall" }).getByText("Not paired").waitFor();
  admin.assertClean();
});
