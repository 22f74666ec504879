// Live lists: later changes move no row.
import type { Page } from "@playwright/test";
import { expect, test } from "./support/test";

/** The first cells of the rows, in their order. */
const names = (page: Page): Promise<string[]> => page.locator("[data-row] td:first-child").allTextContents();

const live = (page: Page): Promise<void> => expect(page.getByText("Live", { exact: true })).toBeVisible();

test("new leads are listed after a click, and shown leads change in place", async ({
  world,
  receiver,
  inside: page,
}) => {
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.publish("grace");
  await world.have(2, "succeeded");
  await page.getByRole("link", { name: "Leads" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(2);
  await live(page);

  receiver.status = 500;
  await world.publish("ada");
  await expect(page.locator("[data-row=ada]")).toContainText("1 failed");
  await world.publish("joan");
  await world.publish("hedy");
  await expect(page.getByRole("button", { name: "2 new, show" })).toBeVisible();
  expect(await names(page)).toEqual(["grace", "ada"]);
  await page.getByRole("button", { name: "2 new, show" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(4);
  expect(await names(page)).toEqual(["hedy", "joan", "grace", "ada"]);

  // A row that no longer matches keeps its place until it is removed.
  await page.getByLabel("Failed").selectOption("no");
  await expect(page.locator("[data-row]")).toHaveCount(1);
  await page.getByLabel("Failed").selectOption("yes");
  await expect(page.locator("[data-row]")).toHaveCount(3);
  receiver.status = 200;
  const request = { filter: { accountId: world.account, leadId: "joan" }, reason: "it works again" };
  await world.leadline.call("JobService/RetryDeliveries", { accountId: world.account, ...request });
  const remove = page.getByRole("button", { name: "1 no longer match, remove" });
  await expect(remove).toBeVisible();
  await expect(page.locator("tr.stays")).toHaveAttribute("data-row", "joan");
  expect(await names(page)).toEqual(["hedy", "joan", "ada"]);
  await remove.click();
  await expect(page.locator("[data-row]")).toHaveCount(2);
});

test("new problems are listed after a click, and shown problems change in place", async ({
  world,
  receiver,
  inside: page,
}) => {
  receiver.status = 503;
  await world.destination("CRM", receiver.url, { eventTypes: ["lead.created"] });
  await world.destination("Mail", receiver.url, { eventTypes: ["email.open"] });
  await world.publish("ada");
  await world.have(1, "failed");
  await world.publish("ada", {}, { type: "email.open" });
  await world.have(2, "failed");
  await page.getByRole("link", { name: "Problems" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(2);
  await live(page);
  expect(await names(page)).toEqual(["Mail", "CRM"]);

  // CRM now has the latest failure, so a newly read list would begin with it. The shown row does not move.
  await world.publish("grace");
  await expect(page.locator("[data-row]").nth(1)).toContainText("2 deliveries");
  receiver.status = 500;
  await world.publish("joan");
  const button = page.getByRole("button", { name: "1 new, show" });
  await expect(button).toBeVisible();
  expect(await names(page)).toEqual(["Mail", "CRM"]);
  await button.click();
  await expect(page.locator("[data-row]")).toHaveCount(3);
  expect(await names(page)).toEqual(["CRM", "CRM", "Mail"]);

  receiver.status = 200;
  const opened = await world.have(1, "failed", { eventType: "email.open" });
  await world.leadline.call("DeliveryService/RetryDelivery", { deliveryId: opened[0]?.deliveryId });
  await expect(page.locator("tr.stays")).toContainText("Closed");
  expect(await names(page)).toEqual(["CRM", "CRM", "Mail"]);
  await page.getByRole("button", { name: "1 no longer match, remove" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(2);
});

test("new attempts of a destination are listed after a click", async ({ world, receiver, inside: page, leadline }) => {
  const id = await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "succeeded");
  await page.goto(`${leadline.http}/console/destinations/${id}`);
  const attempts = page.getByRole("table", { name: /^The latest attempts/ }).locator("[data-row]");
  await expect(attempts).toHaveCount(1);
  await live(page);
  await world.publish("grace");
  await world.publish("joan");
  await expect(page.getByRole("button", { name: "2 new, show" })).toBeVisible();
  await expect(attempts).toHaveCount(1);
  await expect(attempts).toContainText("ada");
  await page.getByRole("button", { name: "2 new, show" }).click();
  await expect(attempts).toHaveCount(3);
  await expect(attempts.first()).toContainText("joan");
});

test("a watch that falls silent is begun again", async ({ world, receiver, inside: page }) => {
  await world.destination("CRM", receiver.url);
  let calls = 0;
  // The first call gets no answer, as on a connection that died while the computer slept.
  await page.route("**/leadline.v1.DeliveryService/WatchDeliveries", async (route) => {
    calls += 1;
    if (calls > 1) await route.continue();
  });
  await page.clock.install();
  await page.reload();
  await expect(page.getByText("There is no delivery yet")).toBeVisible();
  await expect(page.getByText("Live", { exact: true })).toHaveCount(0);
  await page.clock.fastForward(75_000);
  await live(page);
  await world.publish("ada");
  await expect(page.getByRole("link", { name: /delivery of ada/ })).toBeVisible();
});
