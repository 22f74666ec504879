import { expect, logIn, test } from "./support/test";

test("a problem is acknowledged, its deliveries are retried, and it closes", async ({
  world,
  receiver,
  inside: page,
}) => {
  receiver.status = 503;
  await world.destination("CRM", receiver.url, { eventTypes: ["lead.created"] });
  await world.destination("Mail", receiver.url, { eventTypes: ["email.*"], enabled: false });
  for (const lead of ["ada", "grace", "joan"]) await world.publish(lead);
  await world.have(3, "failed");
  await world.publish("ada", {}, { type: "email.open" });
  await world.have(1, "held");
  await page.getByRole("link", { name: "Problems" }).click();
  const row = page.locator("[data-row]").filter({ hasText: "CRM" });
  await expect(row).toContainText("answers 503");
  await expect(row).toContainText("The receiver failed on its side.");
  await expect(row.getByRole("link", { name: "3 deliveries" })).toBeVisible();
  const figure = (label: string) => page.locator(".figures div").filter({ hasText: label }).locator("dd");
  for (const [label, value] of [
    ["failing destinations", "1"],
    ["destinations switched off", "1"],
    ["failed today", "3"],
    ["held", "1 delivery"],
  ] as const)
    await expect(figure(label)).toHaveText(value);
  await expect(figure("age of the oldest waiting")).toHaveText(/^\d/);
  await page.getByRole("button", { name: "Acknowledge CRM: answers 503" }).click();
  await expect(row).toContainText("Acknowledged");
  await expect(row).toContainText(`key of ${world.account}`);

  receiver.status = 200;
  await page.getByRole("button", { name: "Retry all of CRM: answers 503" }).click();
  await page.getByRole("button", { name: "Retry 3 deliveries" }).click();
  await expect(page.getByText("Completed.")).toBeVisible();
  await page.getByRole("button", { name: "Back to the list" }).click();
  await expect(page.getByText("There is no problem")).toBeVisible();
  await page.getByLabel("Show problems that are closed").check();
  await expect(page.locator("[data-row]")).toContainText("Closed");
});

test("a destination shows its health", async ({ world, receiver, inside: page, leadline }) => {
  const id = await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "succeeded");
  receiver.status = 500;
  await world.publish("grace");
  await world.have(1, "failed");
  await page.goto(`${leadline.http}/console/destinations/${id}`);
  await expect(page.getByRole("img", { name: /succeeded: 1, failed: 1/ })).toBeVisible();
  await expect(page.getByText("95 of 100 answers within")).toBeVisible();
  await page.getByRole("link", { name: "Destinations" }).click();
  await expect(page.getByRole("img", { name: /succeeded: 1, failed: 1/ })).toBeVisible();
});

test("a succeeded delivery is resent with a reason", async ({ world, receiver, inside: page, leadline }) => {
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  const [delivery] = await world.have(1, "succeeded");
  await page.goto(`${leadline.http}/console/deliveries/${delivery?.deliveryId}`);
  await page.getByRole("button", { name: "Resend …" }).click();
  await page.getByRole("button", { name: "Resend", exact: true }).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.getByLabel(/^Why\?/).fill("the customer lost it");
  await page.getByRole("button", { name: "Resend", exact: true }).click();
  await expect(page.getByText("CRM accepted this delivery on attempt 2")).toBeVisible();
  expect(receiver.requests.map(({ headers }) => headers["webhook-id"])).toEqual(Array(2).fill(delivery?.deliveryId));
  await page.getByRole("link", { name: "Open the lead" }).click();
  await expect(page.getByText(/the customer lost it/)).toBeVisible();
});

test("a payload is shown on request, with the payload scope only", async ({ page, world, receiver, leadline }) => {
  await world.destination("CRM", receiver.url);
  await world.publish("ada", { name: "Ada", budget: 12 });
  await world.have(1, "succeeded");
  await logIn(page, leadline, (await world.key("read")).secret, "/console/leads/ada");
  await page.getByRole("cell", { name: "received" }).waitFor();
  await expect(page.getByRole("button", { name: "Payload …" })).toHaveCount(0);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").fill((await world.key("read", "payload")).secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Payload …" }).click();
  await expect(page).toHaveURL(/event=/);
  await expect(page.getByRole("region", { name: "Payload" })).toHaveCount(0);
  await page.getByRole("button", { name: "Show payload" }).click();
  await expect(page.getByRole("region", { name: "Payload" })).toHaveText('{\n  "name": "Ada",\n  "budget": 12\n}');
});
