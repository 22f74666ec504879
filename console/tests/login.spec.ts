import { expect, logIn, test } from "./support/test";

test("a person logs in with a key, stays logged in, and logs out", async ({ page, world, leadline }) => {
  await page.goto(`${leadline.http}/console/deliveries?status=failed`);
  await page.getByLabel("API key").fill("ll_0000000000000000_wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  const { secret } = await world.key("read");
  await page.getByLabel("API key").fill(secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("button", { name: "Failed" })).toHaveAttribute("aria-pressed", "true");

  await page.reload();
  await expect(page.getByRole("heading", { name: "Deliveries" })).toBeVisible();
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  expect(kept).toBe(JSON.stringify([{}, {}, ""]));

  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByText("You are logged out.")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("API key")).toBeVisible();
});

test("a revoked key leads to the log-in and keeps the address", async ({ page, world, leadline }) => {
  const { id, secret } = await world.key("read");
  await logIn(page, leadline, secret, "/console/leads?failed=yes");
  await expect(page.getByText("No lead matches these filters.")).toBeVisible();
  await leadline.call("AccessService/RevokeKey", { keyId: id });
  // The next call, of any kind, finds the key revoked.
  await page.getByLabel("Failed").selectOption("no");
  await expect(page.getByText("Your session has ended")).toBeVisible();
  await expect(page).toHaveURL(/leads\?.*failed=/);
  await page.getByLabel("API key").fill((await world.key("read")).secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { name: "Leads" })).toBeVisible();
});

test("actions that the key does not permit are not offered", async ({ page, world, receiver, leadline }) => {
  receiver.status = 500;
  const id = await world.destination("CRM", receiver.url);
  await world.publish("ada");
  const [delivery] = await world.have(1, "failed");
  await logIn(page, leadline, (await world.key("read")).secret, "/console/deliveries");
  await page.getByRole("link", { name: /^Failed/ }).waitFor();
  await expect(page.getByRole("button", { name: /^Retry( |$)/ })).toHaveCount(0);
  await expect(page.getByRole("checkbox")).toHaveCount(0);
  const screens = page.getByRole("navigation", { name: "Screens" });
  await expect(screens.getByRole("link", { name: "API keys" })).toHaveCount(0);
  await expect(screens.getByRole("link", { name: "Status" })).toHaveCount(0);
  for (const path of [`deliveries/${delivery?.deliveryId}`, `destinations/${id}`, "leads/ada", "destinations"]) {
    await page.goto(`${leadline.http}/console/${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    const actions = /^Retry( |$)|Enable|Disable|Delete|Edit|Recover|Send a test|Anonymise|New destination/;
    await expect(page.getByRole("button", { name: actions })).toHaveCount(0);
    await expect(page.getByRole("link", { name: actions })).toHaveCount(0);
  }
});

test("a platform-wide key chooses the account, which is in the address", async ({
  page,
  world,
  receiver,
  leadline,
}) => {
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await logIn(page, leadline, leadline.key);
  await page.goto(`${leadline.http}/console/deliveries?account=${world.account}`);
  await page.getByRole("link", { name: /delivery of ada/ }).click();
  await expect(page).toHaveURL(new RegExp(`account=${world.account}`));
  await page.getByRole("link", { name: "Status" }).click();
  await expect(page.getByText("Everything works.")).toBeVisible();
});

test("a key is for a client or for forms, and its revocation is in the address", async ({
  page,
  world,
  inside,
  leadline,
}) => {
  await leadline.call("RegistryService/CreateClient", { client: { accountId: world.account, clientId: "north" } });
  await inside.goto(`${leadline.http}/console/keys`);
  await inside.getByRole("button", { name: "New key …" }).click();
  await inside.getByLabel("Name").fill("of the north");
  await inside.getByRole("dialog").getByRole("combobox").selectOption({ label: "the client north" });
  await inside.getByRole("button", { name: "Create" }).click();
  const secret = await inside.getByRole("region", { name: "The new key" }).textContent();
  await inside.getByRole("button", { name: "I have it" }).click();
  const row = inside.locator("[data-row]").filter({ hasText: "of the north" });
  await expect(row.getByRole("cell", { name: "north", exact: true })).toBeVisible();

  await inside.getByRole("button", { name: "New key …" }).click();
  await inside.getByLabel("Name").fill("of the web page");
  await inside.getByRole("checkbox", { name: /^form/ }).check();
  // A key for forms has no other scope.
  await expect(inside.getByRole("checkbox", { name: /^read/ })).not.toBeChecked();
  await inside.getByRole("button", { name: "Create" }).click();
  await inside.getByRole("button", { name: "I have it" }).click();
  await expect(inside.locator("[data-row]").filter({ hasText: "of the web page" })).toContainText("form");

  await row.getByRole("button", { name: "Revoke the key of the north" }).click();
  await expect(inside).toHaveURL(/do=revoke/);
  await inside.reload();
  await inside.getByRole("button", { name: "Revoke", exact: true }).click();
  await expect(row).toHaveCount(0);
  await inside.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").fill(secret ?? "");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
});

test("the status names failing destinations and the rates of the installation", async ({
  page,
  world,
  receiver,
  leadline,
}) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  for (const lead of ["ada", "grace", "joan"]) await world.publish(lead);
  await world.have(3, "failed");
  await logIn(page, leadline, leadline.key, `/console/status?account=${world.account}`);
  const failing = page.getByRole("table", { name: "Destinations with the latest failures" });
  const row = failing.locator("[data-row]").filter({ hasText: world.account });
  await expect(row).toContainText("CRM");
  await expect(row.getByRole("cell").nth(3)).toHaveText("3");
  const rates = page.locator(".facts div").filter({ hasText: "Deliveries that ended in the last hour" });
  await expect(rates).toContainText(/[1-9]\d* failed/);
  await expect(page.getByText("The oldest delivery that has not ended")).toBeVisible();
});

test("a portal link logs in once and shows only its client", async ({ page, world, receiver, leadline }) => {
  await leadline.call("RegistryService/CreateClient", { client: { accountId: world.account, clientId: "north" } });
  await world.destination("CRM", receiver.url, { clientId: "north" });
  await world.destination("Archive", receiver.url);
  await leadline.call("RegistryService/UpdateAccount", {
    account: { accountId: world.account, routing: "all" },
    updateMask: "routing",
  });
  await world.publish("ada", {}, { client: "north" });
  await world.publish("grace");
  await world.have(3, "succeeded");
  const request = { accountId: world.account, clientId: "north", scopes: ["SCOPE_OPERATE"], person: "Ada" };
  const { url } = await leadline.call<{ url: string }>("AccessService/CreatePortalSession", request);
  await page.goto(url);
  await expect(page.getByRole("link", { name: "Succeeded, delivery of ada to CRM" })).toBeVisible();
  // The client does not see where else its lead went.
  await expect(page.locator("[data-row]").filter({ hasText: "Archive" })).toHaveCount(0);
  await expect(page.locator("[data-row]").filter({ hasText: "grace" })).toHaveCount(0);
  await expect(page.getByText("Ada", { exact: true })).toBeVisible();
  expect(page.url()).not.toContain("token");
  await page.getByRole("link", { name: "Destinations" }).click();
  await expect(page.getByRole("link", { name: "CRM", exact: true })).toBeVisible();
  await expect(page.getByText("Archive")).toHaveCount(0);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.goto(url);
  await expect(page.getByText("This link was used before or has expired.")).toBeVisible();
});
