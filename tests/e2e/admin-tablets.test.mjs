// What an admin does to a paired tablet: areas, messages, commands, help, and its end.

import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";

import { openIngress, startHouse, visit } from "./admin.mjs";
import { createArea, pair, within } from "./support.mjs";

/** A tablet without a screen, which does what it is told and keeps what it heard. */
async function enter(t, daemon, token) {
  const socket = new WebSocket(`${daemon.url.replace("https", "wss")}/ws`, {
    ca: daemon.ca,
    headers: { authorization: `Bearer ${token}` },
  });
  t.after(() => socket.terminate());
  const heard = [];
  const waiting = new Set();
  const tell = (type, data) => socket.send(JSON.stringify({ type, data }));
  socket.on("message", (frame) => {
    const event = JSON.parse(frame);
    heard.push(event);
    if (event.id) tell("ack", { id: event.id });
    if (event.type === "command") {
      const isKnown = event.data.type !== "dance";
      tell("command_result", { commandId: event.data.commandId, success: isKnown, error: isKnown ? undefined : "I cannot dance" });
    }
    waiting.forEach((look) => look());
  });
  const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  const hears = (type) =>
    within(type, new Promise((resolve) => {
      const look = () => {
        const place = heard.findIndex((event) => event.type === type);
        if (place < 0) return;
        waiting.delete(look);
        resolve(heard.splice(place, 1)[0]);
      };
      waiting.add(look);
      look();
    }));
  await hears("connection");
  return { tell, hears, closed };
}

async function furnish(t) {
  const house = await startHouse(t);
  const areas = {};
  for (const name of ["Kitchen", "Hall"]) areas[name] = await createArea(house.daemon, name);
  const paired = await pair(house.daemon, "Wall", [areas.Kitchen]);
  const tablet = await enter(t, house.daemon, paired.token);
  const admin = await openIngress(house);
  return { house, areas, paired, tablet, admin, page: admin.page };
}

test("areas are assigned, toggled, changed and deleted, each effect said before", async (t) => {
  const { areas, paired, tablet, admin, page } = await furnish(t);
  await visit(page, `tablets/${paired.id}`);
  await page.getByLabel("Hall", { exact: true }).check();
  await page.getByText("1 tablet will be told.").waitFor();
  await page.getByRole("button", { name: "Save areas" }).click();
  assert.equal((await tablet.hears("area_added")).data.areaId, areas.Hall);

  await visit(page, "areas");
  await page.getByRole("switch", { name: "Hall is switched on" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 tablet will be told.").waitFor();
  await dialog.getByRole("button", { name: "Switch off" }).click();
  await tablet.hears("area_disabled");
  await page.locator('[role="switch"][aria-checked="false"]').waitFor();

  const row = page.locator(".area-row", { hasText: "Kitchen" });
  await row.getByRole("button", { name: "Edit" }).click();
  await dialog.getByLabel("Entities").fill("light.kitchen\nnot an entity");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByRole("alert").waitFor();
  await dialog.getByLabel("Entities").fill("light.kitchen");
  await dialog.getByLabel("Name").fill("Big kitchen");
  await dialog.getByRole("button", { name: "Save" }).click();
  assert.deepEqual((await tablet.hears("area_updated")).data.entityIds, ["light.kitchen"]);
  await page.getByText("Big kitchen").first().waitFor();

  await page.locator(".area-row", { hasText: "Hall" }).getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Continue…" }).click();
  await dialog.getByText("This cannot be taken back").waitFor();
  await dialog.getByRole("button", { name: "Delete Hall" }).click();
  assert.equal((await tablet.hears("area_removed")).data.reason, "deleted");
  admin.assertClean(/422/);
});

test("many tablets get areas at once", async (t) => {
  const { house, admin, page } = await furnish(t);
  await pair(house.daemon, "Desk", []);
  await visit(page, "tablets");
  for (const name of ["Wall", "Desk"]) await page.getByLabel(`Choose ${name}`).check();
  await page.getByRole("button", { name: "Areas of 2 tablets…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("No tablet will be told.").waitFor();
  await dialog.getByLabel("Kitchen").check();
  // One has it already.
  await dialog.getByText("1 tablet will be told.").waitFor();
  await dialog.getByLabel("Hall").check();
  await dialog.getByText("2 tablets will be told.").waitFor();
  await dialog.getByRole("button", { name: "Apply" }).click();
  await page.locator(".tablet-row", { hasText: "Desk" }).getByText("Hall").waitFor();
  const { clients } = (await house.daemon.admin("GET", "/api/clients")).body;
  for (const client of clients) assert.deepEqual(client.assignedAreas.map(({ name }) => name).sort(), ["Hall", "Kitchen"]);
  admin.assertClean();
});

test("messages and commands reach a tablet, and their outcome comes back", async (t) => {
  const { paired, tablet, admin, page } = await furnish(t);
  await visit(page, `tablets/${paired.id}`);
  await page.getByLabel("Text").fill("Dinner <b>is</b> ready");
  await page.getByRole("button", { name: "Send" }).click();
  const { message } = (await tablet.hears("new_message")).data;
  assert.equal(message.body, "Dinner <b>is</b> ready");
  tablet.tell("message_status", { messageId: message.id, status: "read" });

  await page.getByLabel("What to do").selectOption("identify");
  await page.getByRole("button", { name: "Give" }).click();
  assert.equal((await tablet.hears("command")).data.type, "identify");
  await page.locator(".outcomes").getByText("done").waitFor();
  await page.getByLabel("What to do").selectOption("brightness");
  await page.getByLabel("Percent").fill("40");
  await page.getByRole("button", { name: "Give" }).click();
  assert.deepEqual((await tablet.hears("command")).data.parameters, { level: 40 });
  await page.getByLabel("What to do").selectOption("custom");
  await page.getByLabel("Type").fill("dance");
  await page.getByRole("button", { name: "Give" }).click();
  await page.locator(".outcomes").getByText("I cannot dance").waitFor();

  await visit(page, "messages");
  await page.locator(".list").getByRole("link", { name: /Wall/ }).click();
  const thread = page.locator(".thread");
  // Values are text, never markup.
  await thread.getByText("Dinner <b>is</b> ready").waitFor();
  await thread.getByText(/· read$/).waitFor();
  tablet.tell("typing", { conversationId: message.conversationId, isTyping: true });
  await thread.getByText("Wall is writing").waitFor();
  await thread.getByLabel("Answer").fill("Hurry up");
  await thread.getByRole("button", { name: "Send" }).click();
  assert.equal((await tablet.hears("new_message")).data.message.body, "Hurry up");
  admin.assertClean();
});

test("a help request shows at once, is taken on and resolved", async (t) => {
  const { house, tablet, admin, page } = await furnish(t);
  await visit(page, "overview");
  tablet.tell("help_request", { category: "access_issue", note: "The door is stuck" });
  await page.getByText("Help: Access issue").waitFor();
  await page.locator("nav").getByRole("link", { name: "Help requests 1" }).click();
  await page.getByRole("button", { name: "Take it on" }).click();
  await page.getByText("somebody is on it", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Resolved" }).click();
  await page.getByText("Nobody needs help at the moment").waitFor();
  const { helpRequests } = (await house.daemon.admin("GET", "/api/help")).body;
  assert.equal(helpRequests[0].status, "resolved");
  admin.assertClean();
});

test("what a tablet could see is asked with its own rights, and it is revoked when asked twice", async (t) => {
  const { house, paired, tablet, admin, page } = await furnish(t);
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
  await tablet.hears("token_revoked");
  assert.equal(await within("the end", tablet.closed), 4403);
  assert.equal((await house.daemon.as(paired.token)("GET", "/api/me")).status, 401);
  await page.getByRole("button", { name: "Ask again" }).click();
  await page.getByText("no token of it stands").waitFor();
  await page.getByText("Not paired").waitFor();
  await visit(page, "tablets");
  await page.getByRole("listitem").filter({ hasText: "Wall" }).getByText("Not paired").waitFor();
  admin.assertClean();
});
