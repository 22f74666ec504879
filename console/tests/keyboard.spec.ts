import { expect, test } from "./support/test";

test("a failed delivery is found, opened and retried without a mouse", async ({ world, receiver, leadline, page }) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  for (const lead of ["ada", "grace", "joan"]) await world.publish(lead);
  await world.have(3, "failed");
  receiver.status = 200;
  const { secret } = await world.key("operate");
  const { keyboard } = page;
  await page.goto(`${leadline.http}/console/deliveries`);
  await page.getByLabel("API key").waitFor();
  await keyboard.type(secret);
  await keyboard.press("Enter");
  await page.getByRole("link", { name: /^Failed, delivery of joan/ }).waitFor();

  await keyboard.press("/");
  await keyboard.type("lead:ada");
  await keyboard.press("Enter");
  await expect(page).toHaveURL(/lead=ada/);
  await expect(page.locator("[data-row]")).toHaveCount(1);
  await keyboard.press("Escape");
  await page.locator("body").press("g");
  await keyboard.press("d");
  await expect(page.locator("[data-row]")).toHaveCount(3);

  await keyboard.press("j");
  await keyboard.press("j");
  const second = page.locator("[data-row]").nth(1);
  await expect(second.getByRole("link").first()).toBeFocused();
  await keyboard.press("x");
  await expect(second.getByRole("checkbox")).toBeChecked();
  await keyboard.press("k");
  await keyboard.press("x");
  await keyboard.press("r");
  await expect(page.getByText("2 deliveries would be retried.")).toBeVisible();
  await keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);

  await keyboard.press("j");
  await keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: /^Delivery of/ })).toBeVisible();
  await keyboard.press("r");
  await expect(page.getByText("CRM accepted this delivery on attempt 2")).toBeVisible();

  await keyboard.press("Control+k");
  await keyboard.type("crm");
  await keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "CRM" })).toBeVisible();
  await keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard" })).toBeVisible();
  await keyboard.press("Escape");
  await keyboard.press("g");
  await keyboard.press("l");
  await expect(page.getByRole("heading", { name: "Leads" })).toBeVisible();
  await keyboard.press("g");
  await keyboard.press("p");
  await expect(page.getByRole("heading", { name: "Problems" })).toBeVisible();
});
