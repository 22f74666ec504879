// Checks every screen with axe, with light and dark colours, and takes pictures.
import type { Page } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { check } from "./support/axe";
import type { Leadline } from "./support/leadline";
import { logIn, type OfTest, test } from "./support/test";

const ROOT = resolve(import.meta.dirname, "../..");
/** With `LEADLINE_PICTURES=docs/console`, the pictures of docs/console.md are taken again. */
const PICTURES = join(ROOT, process.env.LEADLINE_PICTURES ?? "target/console/pictures");

async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

interface Seen {
  readonly crm: string;
  readonly newsletter: string;
  readonly failed: string;
  readonly succeeded: string;
  open(path: string, ready: string): Promise<void>;
}

/** Fills an account so that every screen has something to show, and logs in with a key that may see everything. */
async function prepared({
  page,
  world,
  receiver,
  leadline,
}: Omit<OfTest, "inside"> & { page: Page; leadline: Leadline }): Promise<Seen> {
  receiver.status = 503;
  receiver.body = "maintenance until 14:00";
  const crm = await world.destination("CRM", receiver.url);
  const newsletter = await world.destination("Newsletter", receiver.url, { eventTypes: ["email.*"], enabled: false });
  for (const lead of ["ada", "grace", "joan", "katherine"]) await world.publish(lead);
  await world.publish("ada", { opened: true }, { type: "email.open" });
  const [failed] = await world.have(5, "failed");
  receiver.status = 200;
  receiver.body = "taken";
  await world.publish("hedy");
  const [succeeded] = await world.have(1, "succeeded");
  await leadline.call("RegistryService/UpdateDestination", {
    destination: { accountId: world.account, destinationId: crm, timeout: "10s" },
    updateMask: "timeout",
  });
  const scopes = ["SCOPE_ADMIN", "SCOPE_PAYLOAD"];
  const { secret } = await leadline.call<{ secret: string }>("AccessService/CreateKey", { name: "support", scopes });
  await logIn(page, leadline, secret, `/console/deliveries?account=${world.account}`);
  const open = async (path: string, ready: string): Promise<void> => {
    await page.goto(`${leadline.http}/console/${path}${path.includes("?") ? "&" : "?"}account=${world.account}`);
    await page.getByText(ready).first().waitFor({ timeout: 20_000 });
    await check(page, path);
  };
  return { crm, newsletter, failed: failed?.deliveryId ?? "", succeeded: succeeded?.deliveryId ?? "", open };
}

test("axe finds nothing on the screens of deliveries and leads", async ({ page, world, receiver, leadline }) => {
  test.setTimeout(240_000);
  await page.goto(`${leadline.http}/console/`);
  await page.getByLabel("API key").waitFor();
  await check(page, "log-in");
  const { crm, newsletter, failed, succeeded, open } = await prepared({ page, world, receiver, leadline });
  await open("", "answers 503");
  await picture(page, "problems");
  await open("deliveries", "hedy");
  await picture(page, "deliveries");
  await open("deliveries?status=failed&retry=matching", "would be retried");
  await picture(page, "retry");
  await open("deliveries?lead=nobody", "No delivery matches");
  await open(`deliveries/${failed}`, "maintenance until");
  await page.getByText("Settings at attempt 1 and now").click();
  await page.getByText("Settings that differ").first().waitFor({ state: "attached" });
  await check(page, "settings then and now");
  await picture(page, "delivery");
  await page.getByText("Request and answer of attempt 1").click();
  await page.getByRole("region", { name: "Request headers of attempt 1" }).waitFor();
  await check(page, "request and answer");
  await open(`deliveries/${succeeded}?do=resend`, "Why?");
  await open("leads", "hedy");
  await open(`leads/ada?event=${world.account}-1`, "Each view is an entry of the audit log");
  await page.getByRole("button", { name: "Show payload" }).click();
  await page.getByRole("region", { name: "Payload" }).waitFor();
  await check(page, "payload");
  await open(`leads/ada?why=${newsletter}&about=${world.account}-1`, "Existed then");
  await open("leads/ada?do=export", "With the payloads");
  await open(`?destination=${crm}`, "answers 503");
  await open(`leads/ada?why=${crm}`, "Existed then");
  await picture(page, "lead");
  await page.goto(`${leadline.http}/console/deliveries?account=${world.account}&retry=matching`);
  await page.getByRole("button", { name: "Retry 5 deliveries" }).click();
  await page.getByText("Completed.").waitFor();
  await check(page, "progress");
  await page.getByRole("link", { name: "Open the job" }).click();
  await page.getByText("Requested by").waitFor();
  await check(page, "a job");
  await open("jobs", "Bulk retry");
  await open("nowhere", "no such screen");
  await page.keyboard.press("?");
  await check(page, "help");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await check(page, "palette");
});

test("axe finds nothing on the screens of the configuration", async ({ page, world, receiver, leadline }) => {
  test.setTimeout(240_000);
  const { crm, newsletter, open } = await prepared({ page, world, receiver, leadline });
  await open("destinations", "Newsletter");
  await picture(page, "destinations");
  await open(`destinations/${crm}`, "Latest attempts");
  await picture(page, "destination");
  for (const action of ["disable", "test", "recover", "assign", "delete"])
    await open(`destinations/${crm}?do=${action}`, "Cancel");
  await open(`destinations/${newsletter}?do=enable`, "Skip held deliveries");
  await open(`destinations/${crm}/edit`, "Retry policy");
  await open("destinations/new", "Retry policy");
  await page.getByLabel("Content type").evaluate((input) => input.closest("details")?.setAttribute("open", ""));
  await page.getByLabel("Content type").fill("nonsense");
  await page.getByLabel("URL").fill("http://10.1.2.3/");
  await page.locator("#field-contentType-wrong").waitFor();
  await check(page, "a form with errors");
  await open("jobs", "There is no job yet");
  await open("audit", "created");
  await open("audit?kind=token", "No change matches");
  await open("keys", "API keys");
  await open("keys?do=create", "Expires");
  await open("status", "Everything works");
});

test("axe finds nothing on the screens of an account", async ({ page, world, receiver, leadline }) => {
  test.setTimeout(240_000);
  const { open } = await prepared({ page, world, receiver, leadline });
  await world.leadline.call("RegistryService/CreateClient", {
    client: { accountId: world.account, clientId: "north" },
  });
  await world.leadline.call("RegistryService/CreateToken", { accountId: world.account, name: "of the CRM" });
  await open("account?do=edit", "Brand of its mails");
  await open("interfaces", "Form");
  await open("interfaces?do=create", "Anonymise its leads");
  await open("clients?do=delete&id=north", "Cancel");
  await open("api-users?do=create", "Role");
  await open("opt-outs", "There are no opt-outs");
  await open("tokens", "of the CRM");
  await page.getByRole("button", { name: "Rotate of the CRM" }).click();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await page.getByRole("region", { name: "The secret" }).waitFor();
  await check(page, "secret");
});
