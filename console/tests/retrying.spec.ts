import { expect, test } from "./support/test";

test("a failed delivery is found and retried, and turns green", async ({ world, receiver, inside: page }) => {
  receiver.status = 503;
  receiver.body = "the database is away";
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "failed");

  await page.getByRole("button", { name: "Failed" }).click();
  await expect(page).toHaveURL(/status=failed/);
  await page.getByRole("link", { name: /^Failed/ }).click();
  await expect(page.getByText("CRM answered 503, and the delivery failed after one attempt.")).toBeVisible();
  await expect(page.getByText("The receiver failed on its side.")).toBeVisible();
  await expect(page.getByRole("region", { name: "Answer to attempt 1" })).toHaveText("the database is away");

  receiver.status = 200;
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByText("CRM accepted this delivery on attempt 2: it answered 200.")).toBeVisible();
  await expect(page.getByText("Retry requested.", { exact: true })).toBeVisible();
  expect(receiver.requests.map(({ body }) => body)).toEqual(['{"name":"ada"}', '{"name":"ada"}']);
  await page.goBack();
  await expect(page).toHaveURL(/status=failed/);
  await expect(page.getByText("No delivery matches these filters.")).toBeVisible();
});

test("a list says that it loads, that it has nothing yet, or that nothing matches", async ({ inside: page }) => {
  let answer = (): void => {};
  const mayAnswer = new Promise<void>((done) => (answer = done));
  await page.route("**/leadline.v1.DeliveryService/ListDeliveries", async (route) => {
    await mayAnswer;
    await route.continue();
  });
  await page.reload();
  await expect(page.getByText("Loading deliveries …")).toBeVisible();
  answer();
  await expect(page.getByText("There is no delivery yet.")).toBeVisible();
  await expect(page.getByText("leadline publish --interface")).toBeVisible();
  await page.getByRole("button", { name: "Failed" }).click();
  await expect(page.getByText("No delivery matches these filters.")).toBeVisible();
  await page.getByRole("button", { name: "Clear filters" }).first().click();
  await expect(page).not.toHaveURL(/status=/);
  await expect(page.getByText("There is no delivery yet.")).toBeVisible();
});

test("new deliveries are listed after a click", async ({ world, receiver, inside: page }) => {
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await page.getByRole("link", { name: /delivery of ada/ }).waitFor();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await world.publish("grace");
  await world.publish("joan");
  await page.getByRole("button", { name: "2 new, show" }).click();
  const rows = page.locator("[data-row]");
  await expect(rows).toHaveCount(3);
  await expect(rows.first()).toContainText("joan");
});

test("many deliveries are retried after a dry run, and their job is cancelled", async ({
  world,
  receiver,
  inside: page,
}) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  const leads = Array.from({ length: 30 }, (_, index) => `lead-${index}`);
  await Promise.all(leads.map((lead) => world.publish(lead)));
  await world.have(30, "failed");
  receiver.status = 200;

  await page.getByRole("button", { name: "Failed" }).click();
  await page.getByRole("button", { name: "Retry all that match" }).click();
  await expect(page.getByText("30 deliveries would be retried.")).toBeVisible();
  await expect(page.getByText("The first 20")).toBeVisible();
  await page.getByLabel("Retries a second").fill("1");
  await page.getByRole("button", { name: "Retry 30 deliveries" }).click();
  await expect(page.getByText("Running.")).toBeVisible();
  await expect(page).toHaveURL(/job=/);
  await page.getByRole("button", { name: "Cancel the job" }).click();
  await expect(page.getByText("Cancelled.")).toBeVisible();
  await page.getByRole("button", { name: "Back to the list" }).click();

  await page.getByRole("button", { name: "Retry all that match" }).click();
  await page.getByLabel("Retries a second").fill("100");
  await page.getByRole("button", { name: /^Retry \d+ deliveries/ }).click();
  await expect(page.getByText("Completed.")).toBeVisible();
  await world.have(30, "succeeded");
});

test("selected deliveries are retried together", async ({ world, receiver, inside: page }) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  for (const lead of ["ada", "grace", "joan"]) await world.publish(lead);
  await world.have(3, "failed");
  receiver.status = 200;
  await page.getByRole("button", { name: "Failed" }).click();
  await page.getByLabel("Select the delivery of ada to CRM").check();
  await page.getByLabel("Select the delivery of joan to CRM").check();
  await page.getByRole("button", { name: "Retry 2 selected" }).click();
  // The address names the sheet and the selection, so it can be shared.
  await expect(page).toHaveURL(/retry=selected/);
  await page.reload();
  await page.getByRole("button", { name: "Retry 2 deliveries" }).click();
  await expect(page.getByText("Completed.")).toBeVisible();
  await page.getByRole("button", { name: "Back to the list" }).click();
  await expect(page.getByRole("link", { name: /^Succeeded/ })).toHaveCount(2);
  await expect(page.getByRole("link", { name: /^Failed, delivery of grace/ })).toHaveCount(1);
});

test("deliveries are found, watched and retried by the class of their last answer", async ({
  world,
  receiver,
  inside: page,
}) => {
  await world.destination("CRM", receiver.url);
  for (const [lead, status, count] of [
    ["ada", 503, 1],
    ["grace", 404, 2],
  ] as const) {
    receiver.status = status;
    await world.publish(lead);
    await world.have(count, "failed");
  }
  await world.destination("Away", "http://127.0.0.1:9/");
  receiver.status = 200;
  await world.publish("joan");
  await world.have(3, "failed");

  await page.getByLabel("Filter by").selectOption("answer");
  const value = page.getByRole("combobox", { name: "Last answer" });
  const rows = page.locator("[data-row]");
  const filter = async (text: string): Promise<void> => {
    await value.fill(text);
    await page.getByRole("button", { name: "Add filter" }).click();
  };
  await filter("6xx");
  await expect(page.getByText("Enter a status such as 503, a class such as 5xx, or none.")).toBeVisible();
  for (const [answer, found] of [
    ["none", "joan to Away"],
    ["404", "grace to CRM"],
    ["2xx", "joan to CRM"],
    ["5xx", "ada to CRM"],
  ] as const) {
    await filter(answer);
    await expect(page).toHaveURL(new RegExp(`answer=${answer}`));
    await expect(rows).toHaveCount(1);
    await expect(page.getByRole("link", { name: new RegExp(`delivery of ${found}`) })).toBeVisible();
  }
  await expect(page.getByRole("button", { name: "Remove the filter Last answer: 5xx" })).toBeVisible();

  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  receiver.status = 500;
  await world.publish("katherine");
  await page.getByRole("button", { name: "1 new, show" }).click();
  await expect(rows).toHaveCount(2);
  await page.getByRole("button", { name: "Retry all that match" }).click();
  await expect(page.getByText("2 deliveries would be retried.")).toBeVisible();
});
