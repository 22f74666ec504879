import { curl } from "../src/curl";
import { expect, logIn, test } from "./support/test";

test("an attempt shows its request and answer, and its body on request", async ({
  page,
  world,
  receiver,
  leadline,
}) => {
  receiver.status = 500;
  receiver.body = "no such form";
  await world.destination("CRM", receiver.url);
  await world.publish("ada", { name: "Ada" });
  const [delivery] = await world.have(1, "failed");
  const { secret } = await world.key("read", "payload");
  await page.goto(`${leadline.http}/console/deliveries/${delivery?.deliveryId}`);
  await page.getByLabel("API key").fill(secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Request and answer of attempt 1").click();
  await expect(page.getByRole("region", { name: "Request headers of attempt 1" })).toContainText(
    `webhook-id: ${delivery?.deliveryId}`,
  );
  await expect(page.getByRole("region", { name: "Answer headers of attempt 1" })).toContainText(
    "content-type: text/plain",
  );
  await expect(page.getByRole("region", { name: "Answer to attempt 1" })).toHaveText("no such form");
  await page.getByRole("button", { name: "Show the body" }).click();
  await expect(page.getByRole("region", { name: "Request body of attempt 1" })).toHaveText('{"name":"Ada"}');
  const command = page.getByRole("region", { name: "Command for attempt 1" });
  await expect(command).toContainText("curl -X POST");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await expect(page.getByText("The command is copied.")).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(await command.textContent());
});

test("without the payload scope an attempt shows its request and answer, but no body", async ({
  page,
  world,
  receiver,
  leadline,
}) => {
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  await world.publish("ada", { name: "Ada" });
  const [delivery] = await world.have(1, "failed");
  await logIn(page, leadline, (await world.key("read")).secret, `/console/deliveries/${delivery?.deliveryId}`);
  await page.getByText("Request and answer of attempt 1").click();
  await expect(page.getByText(`POST ${receiver.url}`)).toBeVisible();
  await expect(page.getByRole("region", { name: "Request headers of attempt 1" })).toContainText("webhook-id:");
  await expect(page.getByRole("region", { name: "Answer headers of attempt 1" })).toBeVisible();
  await expect(page.getByRole("button", { name: /body|curl|Payload/ })).toHaveCount(0);
});

test("the request of a test is shown before it is sent", async ({ world, receiver, inside: page, leadline }) => {
  const id = await world.destination("CRM", receiver.url, { bodyTemplate: '{"who": {{ payload.name }}}' });
  await page.goto(`${leadline.http}/console/destinations/${id}?do=test`);
  await page.getByLabel("Send a payload of my own").check();
  await page.getByLabel("Payload (JSON)").fill('{"name": "Ada"}');
  await page.getByRole("button", { name: "Show the request" }).click();
  await expect(page.getByRole("region", { name: "The request" })).toContainText('{"who": "Ada"}');
  expect(receiver.requests).toHaveLength(0);
});

test("a command has no secrets and is quoted for every shell", () => {
  const headers = [
    { name: "content-type", value: "application/json" },
    { name: "authorization", value: "Bearer secret" },
    { name: "x-key", value: "[redacted]" },
  ].map((header) => ({ $typeName: "leadline.v1.ExchangeHeader" as const, ...header }));
  const text = curl({ method: "POST", url: "https://crm.example/it's", headers, bodyText: `{"a": "$(id)'"}` });
  expect(text).toBe(
    `curl -X POST 'https://crm.example/it'\\''s' \\\n  -H 'content-type: application/json' \\\n  --data-binary '{"a": "$(id)'\\''"}'`,
  );
});
