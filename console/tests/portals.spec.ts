// Portals with the colour and the logo of their account.
import fc from "fast-check";
import { contrast, textOn } from "../src/look";
import { violationsOf } from "./support/axe";
import { expect, test } from "./support/test";

/** An image of one pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

test("text on any colour has a contrast of at least 4.5 to 1", () => {
  const color = fc.integer({ min: 0, max: 0xffffff }).map((n) => `#${n.toString(16).padStart(6, "0")}`);
  fc.assert(fc.property(color, (one) => contrast(one, textOn(one)) >= 4.5));
  expect([contrast("#000000", "#ffffff"), textOn("#ffd400"), textOn("#1f5fbf")]).toEqual([21, "#000000", "#ffffff"]);
});

test("a portal has the colour and the logo of its account", async ({ page, inside, world, receiver, leadline }) => {
  await inside.goto(`${leadline.http}/console/account?do=edit`);
  await inside.getByLabel("Name", { exact: true }).fill("Acme Inc.");
  await inside.getByLabel("Colour of its portals").fill("yellow");
  const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`);
  const logo = inside.getByLabel("Logo of its portals");
  await logo.setInputFiles({ name: "logo.svg", mimeType: "image/svg+xml", buffer: svg });
  await inside.getByRole("button", { name: "Save" }).click();
  await expect(inside.getByRole("alert")).toContainText("Not saved.");
  await inside.getByLabel("Colour of its portals").fill("#ffd400");
  await logo.setInputFiles({ name: "logo.png", mimeType: "image/png", buffer: Buffer.from(PNG, "base64") });
  await inside.getByRole("button", { name: "Save" }).click();
  await expect(inside.getByRole("img", { name: "Logo of Acme Inc." })).toBeVisible();
  await inside.getByRole("button", { name: "Log out" }).click();

  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "succeeded");
  const request = { accountId: world.account, scopes: ["SCOPE_ADMIN"] };
  const { url } = await leadline.call<{ url: string }>("AccessService/CreatePortalSession", request);
  await page.goto(url);
  await expect(page.getByRole("img", { name: "Acme Inc." })).toBeVisible();
  await page.getByRole("link", { name: "Deliveries" }).click();
  await expect(page.getByRole("link", { name: /delivery of ada/ })).toBeVisible();
  const current = page.locator("nav a[aria-current]");
  const colors = await current.evaluate((link) => [
    getComputedStyle(link).backgroundColor,
    getComputedStyle(link).color,
  ]);
  expect(colors).toEqual(["rgb(255, 212, 0)", "rgb(0, 0, 0)"]);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violationsOf(page, "color-contrast", "image-alt"), colorScheme).toEqual([]);
  }
});
