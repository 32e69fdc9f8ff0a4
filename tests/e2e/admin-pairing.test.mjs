// A tablet is paired from either side, given areas, told things, and revoked: the admin in one window,
// the tablet in another.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ASKED_WHO, openIngress, signIn, startHouse, visit } from "./admin.mjs";
import { openWindow } from "./browser.mjs";
import { createArea } from "./support.mjs";

test("an admin's code pairs a tablet, with the areas chosen before", async (t) => {
  const house = await startHouse(t);
  await createArea(house.daemon, "Kitchen");
  await createArea(house.daemon, "Garden");
  const admin = await signIn(house);
  const { page } = admin;
  await page.getByRole("link", { name: "Add the first tablet" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Kitchen wall");
  await page.getByLabel("Kitchen", { exact: true }).check();
  await page.getByRole("button", { name: "Make a code" }).click();
  const code = (await page.locator(".big-code").textContent()).replace(/\D/g, "");
  assert.match(code, /^\d{6}$/);
  const qr = page.getByRole("img", { name: "QR code" });
  assert.ok(await qr.evaluate((img) => img.complete && img.naturalWidth > 0), "the QR code is drawn");
  assert.match(await page.locator(".countdown").first().textContent(), /^[45]:\d\d$/);

  const tablet = await openWindow(house.browser);
  await tablet.page.goto(`${house.daemon.url}/pair#${code}`);
  await page.getByText("Kitchen wall is paired.").waitFor();
  await tablet.page.getByText("Kitchen", { exact: true }).first().waitFor();
  await page.getByRole("link", { name: "Show this tablet" }).click();
  await page.locator(".head").getByText("Online").waitFor();
  assert.ok(await page.getByLabel("Kitchen", { exact: true }).isChecked());
  assert.ok(!(await page.getByLabel("Garden", { exact: true }).isChecked()));
  admin.assertClean(ASKED_WHO);
});

test("a tablet that asks is let in once its code was matched, and may be an old one again", async (t) => {
  const house = await startHouse(t);
  await createArea(house.daemon, "Hall");
  const admin = await openIngress(house);
  const { page } = admin;
  const tablet = await openWindow(house.browser);
  await tablet.page.goto(house.daemon.url);
  const shown = await tablet.page.getByTestId("code").textContent();
  await visit(page, "pair");
  await page.getByRole("button", { name: "Let in…" }).click();

  // The wrong code lets nobody in.
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
  const { clients } = (await house.daemon.admin("GET", "/api/clients")).body;

  // It loses its token, asks again, and becomes the same tablet.
  await tablet.context.clearCookies();
  const again = await openWindow(house.browser);
  await again.page.goto(house.daemon.url);
  const second = await again.page.getByTestId("code").textContent();
  // The tablet's own QR code leads an admin straight to its request: no code to match.
  await page.goto(`${house.ingress.url}#pair/${second}`);
  await dialog.getByText(`The tablet shows ${second}`).waitFor();
  await dialog.getByLabel("This is").selectOption({ label: "an old tablet again: Hall wall (online now)" });
  await dialog.getByRole("button", { name: "Let in with 1 area" }).click();
  await page.getByRole("heading", { name: "Hall wall" }).waitFor();
  await again.page.getByText("Hall", { exact: true }).first().waitFor();
  const after = (await house.daemon.admin("GET", "/api/clients")).body.clients;
  assert.deepEqual(after.map(({ id }) => id), clients.map(({ id }) => id));
  admin.assertClean();
});

test("a request that is denied is over for the tablet", async (t) => {
  const house = await startHouse(t);
  const admin = await openIngress(house);
  await visit(admin.page, "pair");
  await admin.page.getByText("No tablet asks at the moment").waitFor();
  const tablet = await openWindow(house.browser);
  await tablet.page.goto(house.daemon.url);
  await tablet.page.getByTestId("code").waitFor();
  await admin.page.getByRole("button", { name: "Deny" }).click();
  await tablet.page.getByText("denied").waitFor();
  await admin.page.getByText("No tablet asks at the moment").waitFor();
  admin.assertClean();
});
