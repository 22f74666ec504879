import type { Json } from "./support/leadline";
import { expect, logIn, test } from "./support/test";

test("a lead shows its log, its deliveries and why a destination got nothing", async ({
  world,
  receiver,
  inside: page,
}) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  await world.destination("Mail", receiver.url, { condition: '{"payload.country": "DE"}' });
  await world.publish("ada", { name: "Ada", country: "FR" });
  await world.publish("grace", { name: "Grace", country: "DE" });
  await world.have(3, "failed");
  await page.getByRole("link", { name: "Leads" }).click();
  await page.getByLabel("Failed").selectOption("yes");
  await expect(page).toHaveURL(/failed=yes/);
  await expect(page.locator("[data-row]")).toHaveCount(2);
  await page.getByLabel("Open the lead with the id").fill("ada");
  await page.getByRole("button", { name: "Open" }).click();
  await expect(page.getByRole("heading", { name: "Lead ada" })).toBeVisible();
  await expect(page.getByRole("cell", { name: "received" })).toBeVisible();

  await page.getByLabel("Ask about the destination").selectOption({ label: "Mail" });
  await expect(page.getByText(/Condition: no/)).toBeVisible();
  receiver.status = 200;
  await page.getByRole("button", { name: "Retry failed deliveries" }).click();
  await page.getByRole("button", { name: "Retry 1 delivery" }).click();
  await expect(page.getByText("Completed.")).toBeVisible();
  await page.getByRole("button", { name: "Back to the list" }).click();
  await expect(page.getByRole("link", { name: "Succeeded, delivery of ada to CRM" })).toBeVisible();
  await expect(page.getByRole("link", { name: "resentwebhook" })).toBeVisible();
});

test("each event of a lead shows its delivery at each destination, or why there is none", async ({
  world,
  receiver,
  inside: page,
  leadline,
}) => {
  await world.destination("CRM", receiver.url);
  const mail = await world.destination("Mail", receiver.url, { eventTypes: ["email.*"] });
  const created = await world.publish("ada");
  await world.have(1, "succeeded");
  receiver.status = 500;
  const opened = await world.publish("ada", {}, { type: "email.open" });
  await world.have(2, "failed");
  await page.goto(`${leadline.http}/console/leads/ada`);
  const table = page.getByRole("table", { name: "Each event of the lead" });
  await expect(table.getByRole("columnheader")).toHaveText(["Event", "CRM", "Mail"]);
  const of = (event: string) => table.getByRole("row").filter({ hasText: event }).getByRole("cell");
  await expect(of(opened)).toHaveText(["Failed", "Failed"]);
  await expect(of(created)).toHaveText(["Succeeded", "Why not?"]);

  await table.getByRole("button", { name: `Why not? Event ${created}, destination Mail` }).click();
  await expect(page).toHaveURL(new RegExp(`why=${mail}&about=${created}`));
  await expect(page.getByRole("dialog").getByText(/Event type: no/)).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);

  receiver.status = 200;
  await page.getByRole("button", { name: "Retry the delivery of ada to Mail" }).click();
  await expect(of(opened)).toHaveText(["Failed", "Succeeded"]);
  await of(created).getByRole("link", { name: "Succeeded" }).click();
  await expect(page.getByText("CRM accepted this delivery on the first attempt")).toBeVisible();
});

test("a lead is exported as a file, with payloads only if the key permits them", async ({
  page,
  world,
  receiver,
  leadline,
}) => {
  await world.destination("CRM", receiver.url);
  const eventId = await world.publish("ada", { name: "Ada" });
  await world.have(1, "succeeded");
  const exported = async () => {
    const downloading = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export as JSON" }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe("lead-ada.json");
    let text = "";
    for await (const part of await download.createReadStream()) text += String(part);
    await expect(page.getByRole("dialog")).toHaveCount(0);
    return JSON.parse(text) as Json;
  };
  const viewed = async () => {
    const request = { accountId: world.account, entityKind: "event" };
    const { entries = [] } = await leadline.call<{ entries?: Json[] }>("AuditService/ListAuditLog", request);
    return entries.map(({ entityId, action }) => [entityId, action]);
  };
  await logIn(page, leadline, (await world.key("read")).secret, "/console/leads/ada");
  await page.getByRole("button", { name: "Export …" }).click();
  await expect(page.getByText("Payloads are not in it: this key does not permit them.")).toBeVisible();
  const without = await exported();
  expect(without).toMatchObject({
    lead: { leadId: "ada", deliveries: 1 },
    log: [{ entry: "received", eventId }, { entry: "webhook" }],
    events: [{ eventId }],
    deliveries: [{ eventId, status: "DELIVERY_STATUS_SUCCEEDED", destinationName: "CRM" }],
  });
  expect(JSON.stringify(without)).not.toContain("payload");
  expect(await viewed()).toEqual([]);

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").fill((await world.key("read", "payload")).secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Export …" }).click();
  await page.getByLabel("With the payloads").check();
  expect(await exported()).toMatchObject({ events: [{ eventId, payloadJson: '{"name":"Ada"}' }] });
  await expect.poll(viewed).toEqual([[eventId, "viewed"]]);
});

test("leads are exported as a file for spreadsheets", async ({ world, receiver, inside: page }) => {
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "succeeded");
  await page.getByRole("link", { name: "Leads" }).click();
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export as CSV" }).click();
  const file = await (await downloading).createReadStream();
  let text = "";
  for await (const part of file) text += String(part);
  expect(text).toMatch(/^\uFEFFaccount_id,interface_id/);
  expect(text).toContain(",ada,");
});

test("an anonymised lead is shown as such and cannot be retried", async ({
  world,
  receiver,
  inside: page,
  leadline,
}) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "failed");
  await page.goto(`${leadline.http}/console/leads/ada`);
  await page.getByRole("button", { name: "Anonymise …" }).click();
  await expect(page).toHaveURL(/do=anonymise/);
  await page.goBack();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.goForward();
  await page.getByRole("button", { name: "Anonymise", exact: true }).click();
  await expect(page.getByText("Anonymised").first()).toBeVisible();
  await page.getByRole("button", { name: "Retry the delivery of ada to CRM" }).click();
  await expect(page.getByText(/Not retried\./)).toBeVisible();
});

test("a lead is found by its mail address", async ({ world, receiver, inside: page }) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  await page.getByRole("link", { name: "Account", exact: true }).click();
  await page.getByRole("navigation", { name: "Account" }).getByRole("link", { name: "Interfaces" }).click();
  await page.getByRole("button", { name: "Edit Form" }).click();
  await page.getByLabel("Fields by which its leads are found").fill("email payload.contact");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.locator("[data-row=form]")).toContainText("email");

  await world.publish("ada", { contact: "Ada@Acme.example" });
  await world.publish("grace", { contact: "grace@acme.example" });
  await world.have(2, "failed");
  await page.getByRole("link", { name: "Leads" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(2);
  await page.getByLabel("Find by").selectOption({ label: "Email" });
  await page.getByLabel("Email", { exact: true }).fill("ada@acme.example");
  await page.getByRole("button", { name: "Find" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(1);
  await expect(page.getByRole("link", { name: "ada", exact: true })).toBeVisible();
  // It is in the address, and in no log of a server.
  expect(new URL(page.url()).hash).toContain("ada%40acme.example");
  await page.reload();
  await expect(page.locator("[data-row]")).toHaveCount(1);
  await page.getByRole("button", { name: "Remove the filter Email: ada@acme.example" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(2);
  await page.goBack();
  await expect(page.locator("[data-row]")).toHaveCount(1);

  await page.getByRole("link", { name: "Deliveries" }).click();
  await page.getByLabel("Filter by").selectOption({ label: "Email of the lead" });
  await page.getByLabel("Email", { exact: true }).fill("ADA@acme.example");
  await page.getByRole("button", { name: "Add filter" }).click();
  await expect(page.locator("[data-row]")).toHaveCount(1);
  receiver.status = 200;
  await page.getByRole("button", { name: "Retry all that match …" }).click();
  await page.getByRole("button", { name: "Retry 1 delivery" }).click();
  await expect(page.getByText("Completed.")).toBeVisible();
  await page.getByRole("button", { name: "Back to the list" }).click();
  await expect(page.getByRole("link", { name: "Succeeded, delivery of ada to CRM" })).toBeVisible();
});
