// Pairing from both sides, with the admin page in one window and the tablet app in another.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SIGN_IN_CHECK, openIngress, signIn, startEnvironment, visit } from "./admin.mjs";
import { openWindow } from "./browser.mjs";
import { createArea } from "./support.mjs";

test("an admin's code pairs a tablet with the chosen areas", async (t) => {
  const env = await startEnvironment(t);
  await createArea(env.daemon, "Kitchen");
  await createArea(env.daemon, "Garden");
  const admin = await signIn(env);
  const { page } = admin;
  await page.getByRole("link", { name: "Add the first tablet" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Kitchen wall");
  await page.getByLabel("Kitchen", { exact: true }).check();
  await page.getByRole("button", { name: "Make a code" }).click();
  const code = (await page.locator(".big-code").textContent()).replace(/\D/g, "");
  assert.match(code, /^\d{6}$/);
  const qr = page.getByRole("img", { name: "QR code" });
  assert.ok(await qr.evaluate((img) => img.complete && img.naturalWidth > 0), "the QR code is shown");
  assert.match(await page.locator(".countdown").first().textContent(), /^[45]:\d\d$/);

  const tablet = await openWindow(env.browser);
  await tablet.page.goto(`${env.daemon.url}/pair#${code}`);
  await page.getByText("Kitchen wall is paired.").waitFor();
  await tablet.page.getByText("Kitchen", { exact: true }).first().waitFor();
  await page.getByRole("link", { name: "Show this tablet" }).click();
  await page.locator(".head").getByText("Online").waitFor();
  assert.ok(await page.getByLabel("Kitchen", { exact: true }).isChecked());
  assert.ok(!(await page.getByLabel("Garden", { exact: true }).isChecked()));
  admin.assertClean(SIGN_IN_CHECK);
});

test("a pairing request is approved by its matching code and can replace an old tablet", async (t) => {
  const env = await startEnvironment(t);
  await createArea(env.daemon, "Hall");
  const admin = await openIngress(env);
  const { page } = admin;
  const tablet = await openWindow(env.browser);
  await tablet.page.goto(env.daemon.url);
  const shown = await tablet.page.getByTestId("code").textContent();
  await visit(page, "pair");
  await page.getByRole("button", { name: "Let in…" }).click();

  // A wrong code approves nothing.
  const dialog = page.getByRole("dialog");
  const wrong = dialog.locator(".match button").filter({ hasNotText: shown }).first();
  await wrong.click();
  await dialog.getByText("That is not the code of this request").waitFor();
  await dialog.getByRole("button", { name: "Look again" }).click();
  await page.getByRole("button", { name: "Let in…" }).click();
  await dialog.getByRole("button", { name: shown }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("Hall wall");
  await dialog.getByLabel("Hall", { exact: true }).check();
  await dialog.getByRole("button", { name: "Let in with 1 area" }).click();
  await page.getByRole("heading", { name: "Hall wall" }).waitFor();
  await page.locator(".head").getByText("Online").waitFor();
  const { clients } = (await env.daemon.admin("GET", "/api/clients")).body;

  // The tablet loses its cookie, requests pairing again, and becomes the same client.
  await tablet.context.clearCookies();
  const again = await openWindow(env.browser);
  await again.page.goto(env.daemon.url);
  const second = await again.page.getByTestId("code").textContent();
  // The tablet's QR code links to its request, so the admin does not have to match a code.
  await page.goto(`${env.ingress.url}#pair/${second}`);
  await dialog.getByText(`The tablet shows ${second}`).waitFor();
  await dialog.getByLabel("This is").selectOption({ label: "an old tablet again: Hall wall (online now)" });
  await dialog.getByRole("button", { name: "Let in with 1 area" }).click();
  await page.getByRole("heading", { name: "Hall wall" }).waitFor();
  await again.page.getByText("Hall", { exact: true }).first().waitFor();
  const after = (await env.daemon.admin("GET", "/api/clients")).body.clients;
  assert.deepEqual(after.map(({ id }) => id), clients.map(({ id }) => id));
  admin.assertClean();
});

test("a denied request is shown as denied on the tablet", async (t) => {
  const env = await startEnvironment(t);
  const admin = await openIngress(env);
  await visit(admin.page, "pair");
  await admin.page.getByText("No tablet asks at the moment").waitFor();
  const tablet = await openWindow(env.browser);
  await tablet.page.goto(env.daemon.url);
  await tablet.page.getByTestId("code").waitFor();
  await admin.page.getByRole("button", { name: "Deny" }).click();
  await tablet.page.getByText("denied").waitFor();
  await admin.page.getByText("No tablet asks at the moment").waitFor();
  admin.assertClean();
});
