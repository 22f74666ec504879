import { expect, logIn, test } from "./support/test";

test("interfaces, clients and API users are created, changed and deleted", async ({ inside: page }) => {
  await page.getByRole("link", { name: "Account", exact: true }).click();
  const tabs = page.getByRole("navigation", { name: "Account" });
  await tabs.getByRole("link", { name: "Interfaces" }).click();
  await page.getByRole("button", { name: "New interface …" }).click();
  await page.getByLabel("Id", { exact: true }).fill("no spaces");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.getByRole("alert")).toContainText("Not created.");
  await page.getByLabel("Id", { exact: true }).fill("spring");
  await page.getByLabel("Name", { exact: true }).fill("Spring campaign");
  await page.getByLabel("Anonymise its leads after days").fill("90");
  await page.getByRole("button", { name: "Create" }).click();
  const row = page.locator("[data-row=spring]");
  await expect(row).toContainText("after 90 days");
  await row.getByRole("button", { name: "Edit Spring campaign" }).click();
  await expect(page).toHaveURL(/do=edit/);
  await page.getByLabel("Anonymise its leads after days").fill("");
  await page.getByLabel("Addresses for mails about new leads").fill("ada@acme.example");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(row).toContainText("never");
  await expect(row).toContainText("ada@acme.example (has not agreed yet)");

  await tabs.getByRole("link", { name: "Clients" }).click();
  await expect(page.getByText("There is no client yet.")).toBeVisible();
  await page.getByRole("button", { name: "New client …" }).click();
  await page.getByLabel("Id", { exact: true }).fill("north");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("button", { name: "Delete north" }).click();
  await page.goBack();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.getByRole("button", { name: "Delete north" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.getByText("There is no client yet.")).toBeVisible();

  await tabs.getByRole("link", { name: "API users" }).click();
  await page.getByRole("button", { name: "New API user …" }).click();
  await page.getByLabel("Id", { exact: true }).fill("ada");
  await page.getByLabel("Mail address").fill("ada@acme.example");
  await page.getByLabel("Role").selectOption("operator");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.locator("[data-row=ada]")).toContainText("operator");
  await page.getByRole("link", { name: "Audit log" }).click();
  await expect(page.getByText("api user ada")).toBeVisible();
  await page.getByLabel("Changes of").selectOption("token");
  await expect(page.getByText("No change matches these filters.")).toBeVisible();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await expect(page.getByText("api user ada")).toBeVisible();
});

test("a token's secret is shown once, when it is made and when it is rotated", async ({
  world,
  receiver,
  inside: page,
  leadline,
}) => {
  await world.destination("CRM", receiver.url);
  await page.goto(`${leadline.http}/console/tokens`);
  await page.getByRole("button", { name: "New token …" }).click();
  await page.getByLabel("Name", { exact: true }).fill("of the CRM");
  await page.getByRole("button", { name: "Create" }).click();
  const secret = page.getByRole("region", { name: "The secret" });
  await expect(secret).toHaveText(/^whsec_/);
  const first = await secret.textContent();
  await page.getByRole("button", { name: "I have it" }).click();
  await page.reload();
  await expect(page.getByText("of the CRM")).toBeVisible();
  await expect(page.getByText(first ?? "")).toHaveCount(0);

  await page.getByRole("button", { name: "Assign of the CRM" }).click();
  await page.getByLabel("Destination whose requests it signs").selectOption({ label: "CRM" });
  await page.getByRole("button", { name: "Assign", exact: true }).click();
  await expect(page.getByRole("cell", { name: "CRM", exact: true })).toBeVisible();
  await world.publish("ada");
  await world.have(1, "succeeded");
  expect(receiver.requests[0]?.headers["webhook-signature"]).toMatch(/^v1,/);

  await page.getByRole("button", { name: "Rotate of the CRM" }).click();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await expect(secret).toHaveText(/^whsec_/);
  expect(await secret.textContent()).not.toBe(first);
  await page.getByRole("button", { name: "I have it" }).click();
  await page.getByRole("button", { name: "Delete of the CRM" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("Not deleted.");
});

test("the settings of an account are changed, and a reader is offered no change", async ({
  page,
  world,
  inside,
  leadline,
}) => {
  await inside.goto(`${leadline.http}/console/account`);
  await inside.getByRole("button", { name: "Edit …" }).click();
  await inside.getByLabel("Name", { exact: true }).fill("Acme Inc.");
  await inside.getByLabel("Which destinations get an event").selectOption("all");
  await inside.getByRole("button", { name: "Save" }).click();
  await expect(inside.getByRole("heading", { name: "Account Acme Inc." })).toBeVisible();
  await inside.getByRole("button", { name: "Log out" }).click();

  await logIn(page, leadline, (await world.key("read")).secret, "/console/account");
  await expect(page.getByRole("heading", { name: "Account Acme Inc." })).toBeVisible();
  const tabs = page.getByRole("navigation", { name: "Account" });
  for (const name of ["Interfaces", "Clients", "API users", "Tokens", "Opt-outs", "Account"]) {
    await tabs.getByRole("link", { name, exact: true }).click();
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.getByText("Loading")).toHaveCount(0);
    await expect(page.getByRole("button", { name: /^(New|Edit|Delete|Rotate|Assign|Rename)/ })).toHaveCount(0);
  }
});
