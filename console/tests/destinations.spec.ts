import { expect, test } from "./support/test";

test("a destination is created and tested, and a lead arrives live", async ({ world, receiver, inside: page }) => {
  await page.getByRole("link", { name: "Destinations" }).click();
  await expect(page.getByText("There is no destination yet.")).toBeVisible();
  await page.getByRole("link", { name: "New destination" }).click();
  await page.getByLabel("URL").fill("crm.example");
  await expect(page.getByText("The URL has to begin with https://")).toBeVisible();
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.getByText("Enter a name.")).toBeVisible();
  await page.getByLabel("Name", { exact: true }).fill("CRM");
  await page.getByLabel("URL").fill("http://10.1.2.3/leads");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.locator("#field-url-wrong")).toContainText("10.1.2.3 is not a public address");
  await page.getByLabel("URL").fill(receiver.url);
  await page.getByLabel("Retry policy").selectOption("manual");
  await page.getByRole("button", { name: "Create" }).click();

  await page.getByLabel("Send a payload of my own").check();
  await page.getByLabel("Payload (JSON)").fill('{"name": "Test"}');
  await page.getByRole("button", { name: "Send the test" }).click();
  await expect(page.getByText("CRM accepted this delivery on the first attempt: it answered 200.")).toBeVisible();
  expect(receiver.requests[0]?.body).toBe('{"name": "Test"}');

  await page.getByRole("link", { name: "Deliveries" }).click();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await world.publish("ada");
  const button = page.getByRole("button", { name: "1 new, show" });
  const row = page.getByRole("link", { name: "Succeeded, delivery of ada to CRM" });
  await expect(button.or(row)).toBeVisible();
  if (await button.isVisible()) await button.click();
  await expect(row).toBeVisible();
});

test("a new destination is checked while it is written, and says which others it overrides", async ({
  world,
  receiver,
  inside: page,
  leadline,
}) => {
  await world.destination("Form CRM", receiver.url, { interfaceId: "form" });
  const stored = async (): Promise<number> => {
    const request = { accountId: world.account };
    const { destinations } = await leadline.call<{ destinations: unknown[] }>(
      "RegistryService/ListDestinations",
      request,
    );
    return destinations.length;
  };
  await page.goto(`${leadline.http}/console/destinations/new`);
  await page.getByText("What is sent").click();
  await page.getByLabel("Content type").fill("nonsense");
  await page.getByLabel("Condition", { exact: true }).fill('{"payload.country": {"like": "D"}}');
  await page.getByLabel("URL").fill("http://10.1.2.3/leads");
  // Only the server knows that these are wrong, and says so before anything is saved.
  await expect(page.locator("#field-url-wrong")).toContainText("10.1.2.3 is not a public address");
  await expect(page.locator("#field-contentType-wrong")).toContainText("nonsense");
  await expect(page.locator("#field-condition-wrong")).toContainText("like");
  await page.getByLabel("Content type").fill("");
  await page.getByLabel("Condition", { exact: true }).fill("");
  await page.getByLabel("URL").fill(receiver.url);
  const warning = page.getByText(/^This destination overrides Form CRM \(.*\) of interface form/);
  await expect(warning).toBeVisible();
  await expect(page.locator(".wrong")).toHaveCount(0);
  await page.getByLabel("For the leads of").selectOption({ label: "the interface Form" });
  await expect(warning).toHaveCount(0);
  await page.getByLabel("For the leads of").selectOption({ label: "the whole account" });
  await expect(warning).toBeVisible();
  expect(await stored()).toBe(1);

  await page.getByLabel("Name", { exact: true }).fill("All");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("dialog", { name: "Send a test to All" }).waitFor();
  expect(await stored()).toBe(2);
  await page.getByRole("button", { name: "Send the test" }).click();
  await expect(page.getByText("All accepted this delivery on the first attempt: it answered 200.")).toBeVisible();
});

test("a list of destinations shows the last success and opens actions", async ({ world, receiver, inside: page }) => {
  const id = await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "succeeded");
  await page.getByRole("link", { name: "Destinations" }).click();
  const row = page.locator(`[data-row="${id}"]`);
  await expect(row.getByRole("time")).toBeVisible();
  for (const action of ["Test CRM", "Recover CRM", "Disable CRM"])
    await expect(row.getByRole("link", { name: action })).toBeVisible();
  await row.getByRole("link", { name: "Disable CRM" }).click();
  await expect(page).toHaveURL(/do=disable/);
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByText("It is disabled.")).toBeVisible();
  await page.getByRole("link", { name: "Destinations" }).click();
  await expect(row.getByRole("link", { name: "Disable CRM" })).toHaveCount(0);
  await row.getByRole("link", { name: "Enable CRM" }).click();
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(page.getByText("It is enabled and gets the events that it wants.")).toBeVisible();
});

test("a destination gets a token, and a new secret for it", async ({ world, receiver, inside: page, leadline }) => {
  const id = await world.destination("CRM", receiver.url);
  await leadline.call("RegistryService/CreateToken", { accountId: world.account, name: "of the CRM" });
  await page.goto(`${leadline.http}/console/destinations/${id}`);
  await expect(page.getByRole("button", { name: "Assign a token …" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Rotate the secret …" })).toHaveCount(0);
  await page.getByRole("button", { name: "Assign a token …" }).click();
  await page.getByLabel("Token that signs its requests").selectOption({ label: "of the CRM" });
  await page.getByRole("button", { name: "Assign", exact: true }).click();
  await page.getByRole("button", { name: "Rotate the secret …" }).click();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await expect(page.getByRole("region", { name: "The secret" })).toHaveText(/^whsec_/);
  await page.getByRole("button", { name: "I have it" }).click();
  await world.publish("ada");
  await world.have(1, "succeeded");
  // The old secret and the new one sign.
  expect(receiver.requests[0]?.headers["webhook-signature"]).toMatch(/^v1,\S+ v1,\S+$/);
});

test("deliveries of a disabled destination are held, then skipped or sent", async ({
  world,
  receiver,
  inside: page,
  leadline,
}) => {
  const id = await world.destination("CRM", receiver.url);
  await page.goto(`${leadline.http}/console/destinations/${id}`);
  await page.getByRole("button", { name: "Disable …" }).click();
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByText("It is disabled. Its deliveries are held until it is enabled.")).toBeVisible();
  await world.publish("ada");
  const [held] = await world.have(1, "held");
  const facts = page.locator(".facts div");
  await expect(facts.filter({ hasText: /^Held/ }).locator("dd")).toHaveText("1");
  await expect(facts.filter({ hasText: /^Switched off by/ })).toContainText(`key of ${world.account}`);
  await page.goto(`${leadline.http}/console/deliveries/${held?.deliveryId}`);
  await expect(
    page.getByText("CRM is disabled, so this delivery is held. It is sent when CRM is enabled."),
  ).toBeVisible();

  await page.getByRole("link", { name: "Open the destination" }).click();
  await page.getByRole("button", { name: "Enable …" }).click();
  await page.getByLabel(/Skip held/).check();
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(page.getByText("It is enabled and gets the events that it wants.")).toBeVisible();
  await world.have(1, "failed");
  expect(receiver.requests).toHaveLength(0);
  await page.getByRole("link", { name: "Its deliveries" }).click();
  await page.getByRole("link", { name: /^Failed/ }).click();
  await expect(page.getByText(/skipped when its destination was enabled/)).toBeVisible();

  await page.getByRole("link", { name: "Open the destination" }).click();
  await page.getByRole("button", { name: "Disable …" }).click();
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByText("It is disabled.")).toBeVisible();
  await world.publish("grace");
  await world.have(1, "held");
  await page.getByRole("button", { name: "Enable …" }).click();
  await expect(page.getByLabel(/Send held/)).toBeChecked();
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(page.getByText("It is enabled and gets the events that it wants.")).toBeVisible();
  const [sent] = await world.have(1, "succeeded");
  expect(sent?.leadId).toBe("grace");
  expect(receiver.requests.map(({ body }) => body)).toEqual(['{"name":"grace"}']);
});

test("settings are changed, and the changes say who did it", async ({ world, receiver, inside: page, leadline }) => {
  const id = await world.destination("CRM", receiver.url);
  await page.goto(`${leadline.http}/console/destinations/${id}/edit`);
  await page.getByLabel("Name", { exact: true }).fill("New CRM");
  await page.getByText("What is sent").click();
  await page.getByLabel("Condition", { exact: true }).fill('{"payload.country": "DE"}');
  await page.getByRole("button", { name: "Try the condition" }).click();
  await expect(page.getByText("The destination would want it.")).toBeVisible();
  await page.getByText("Limits, order, signature").click();
  await page.getByLabel("Requests a second, at most").fill("0.5");
  await expect(page.getByText("Enter a number from 1 to 10,000.")).toBeVisible();
  await page.getByLabel("Requests a second, at most").fill("5");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: "New CRM" })).toBeVisible();
  await expect(page.getByText(`key of ${world.account}`).last()).toBeVisible();
  const saved = await leadline.call("RegistryService/GetDestination", { accountId: world.account, destinationId: id });
  expect(saved).toMatchObject({
    name: "New CRM",
    rate: 5,
    condition: '{"payload.country": "DE"}',
    retryPolicy: { preset: "manual" },
  });
});

test("a destination gets the events that it missed", async ({ world, receiver, inside: page, leadline }) => {
  await world.publish("ada");
  const id = await world.destination("CRM", receiver.url);
  await page.goto(`${leadline.http}/console/destinations/${id}`);
  await page.getByRole("button", { name: "Recover since …" }).click();
  await page.getByLabel("Events that are older than the destination, too").check();
  await page.getByRole("button", { name: "Count missed events" }).click();
  await expect(page.getByText("1 missed event would be delivered")).toBeVisible();
  await page.getByRole("button", { name: "Recover", exact: true }).click();
  await expect(page.getByText("1 missed event")).toBeVisible();
  await world.have(1, "succeeded");
});

test("a destination shows its day in charts, and its attempts with level and answer", async ({
  world,
  receiver,
  inside: page,
  leadline,
}) => {
  const id = await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "succeeded");
  for (const [lead, status, body, failed] of [
    ["grace", 503, "the database is away", 1],
    ["joan", 410, "no longer here", 2],
  ] as const) {
    Object.assign(receiver, { status, body });
    await world.publish(lead);
    await world.have(failed, "failed");
  }
  await page.goto(`${leadline.http}/console/destinations/${id}`);
  const attempts = page.getByRole("table", { name: "The latest attempts, the newest first" }).locator("[data-row]");
  await expect(attempts).toHaveCount(3);
  await expect(attempts.nth(0)).toContainText(/Error.*410.*no longer here.*joan/);
  await expect(attempts.nth(1)).toContainText(/Debug.*503.*the database is away.*grace/);
  await expect(attempts.nth(2)).toContainText(/Success.*200.*taken.*ada/);

  const chart = (name: string | RegExp) => page.getByRole("img", { name });
  await expect(chart("Deliveries of the last 24 hours: succeeded: 1, failed: 2")).toBeVisible();
  await expect(chart("Attempts by answer: 2xx: 1, 3xx: 0, 4xx: 1, 5xx: 1, no answer: 0")).toBeVisible();
  await expect(chart(/^Time until the answer: p50: at most \d.*, p95: at most \d/)).toBeVisible();
  await expect(page.getByRole("columnheader", { name: "p95" })).toBeHidden();
  await page.getByText("The last 24 hours in numbers").click();
  await expect(page.getByRole("columnheader", { name: "p95" })).toBeVisible();
});
