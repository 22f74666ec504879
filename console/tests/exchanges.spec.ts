import { create } from "@bufbuild/protobuf";
import { curl } from "../src/curl";
import { differences } from "../src/differences";
import { AuditEntrySchema } from "../src/gen/leadline/v1/audit_pb";
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

test("an attempt compares the settings of its destination with those of now", async ({
  page,
  world,
  receiver,
  leadline,
}) => {
  receiver.status = 500;
  const auth = (value: string) => ({ header: { name: "x-key", value } });
  const id = await world.destination("CRM", receiver.url, { auth: auth("first-secret") });
  await world.publish("ada");
  const [delivery] = await world.have(1, "failed");
  await logIn(page, leadline, (await world.key("read")).secret, `/console/deliveries/${delivery?.deliveryId}`);
  const settings = page.getByText("Settings at attempt 1 and now");
  await expect(settings).toHaveText("Settings at attempt 1 and now: the same");

  const url = `${receiver.url}/new`;
  const changed = { accountId: world.account, destinationId: id, url, auth: auth("second-secret") };
  await leadline.call("RegistryService/UpdateDestination", { destination: changed, updateMask: "url,auth" });
  await page.reload();
  await expect(settings).toHaveText("Settings at attempt 1 and now: 2 differences");
  await settings.click();
  const row = page.getByRole("row").filter({ hasText: "url" });
  await expect(row.getByRole("cell")).toHaveText([receiver.url, url]);
  await expect(page.getByRole("row").filter({ hasText: "auth" })).toContainText("another secret, not shown");
  await expect(page.locator("main")).not.toContainText("-secret");
});

test("settings of a time are what changes since then replaced", () => {
  const entry = (seconds: number, ...changes: [string, string, string, boolean?][]) =>
    create(AuditEntrySchema, {
      at: { seconds: BigInt(seconds) },
      changes: changes.map(([field, oldValue, newValue, secret = false]) => ({ field, oldValue, newValue, secret })),
    });
  const long = `${"a".repeat(2_000)}…`;
  const entries = [
    entry(40, ["url", "b", "c"], ["body", long, long], ["skip_held", "", "true"]),
    entry(30, ["timeout", "5s", "10s"], ["auth", "", "", true]),
    entry(20, ["url", "a", "b"], ["timeout", "10s", "5s"]),
    entry(10, ["url", "0", "a"]),
  ];
  const shown = (since: number) =>
    differences(entries, since).map(({ field, then, now, secret }) => [field, then, now, secret]);
  expect(shown(15_000)).toEqual([
    ["auth", "", "", true],
    ["body", long, long, false],
    ["url", "a", "c", false],
  ]);
  expect(shown(30_000)).toEqual([
    ["body", long, long, false],
    ["url", "b", "c", false],
  ]);
  expect(shown(40_000)).toEqual([]);
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
