// Follows the links in mails.
import { check } from "./support/axe";
import { until } from "./support/leadline";
import type { Receiver } from "./support/receiver";
import { expect, logIn, test, type World } from "./support/test";

/** The owner of the account, who gets its mails. */
const owner = ({ account }: World): string => `owner@${account}.example`;

/** Makes the deliveries of these leads to CRM fail, and returns the first mail about that. */
async function failure(world: World, receiver: Receiver, leads: string[]): Promise<string> {
  const account = { accountId: world.account, notificationEmails: [owner(world)] };
  await world.leadline.call("RegistryService/UpdateAccount", { account, updateMask: "notificationEmails" });
  receiver.status = 503;
  await world.destination("CRM", receiver.url);
  for (const lead of leads) await world.publish(lead);
  await world.have(leads.length, "failed");
  return until("a mail", 30_000, async () => (await world.leadline.mails(owner(world)))[0]);
}

function link(mail: string, words: string): string {
  const line = mail.split(/\r?\n/).find((one) => one.startsWith(`${words}: `));
  return line?.slice(words.length + 2).trim() ?? `no link in ${mail}`;
}

test("a mail's link leads to the problem, all of it is retried, and its rows turn green", async ({
  page,
  context,
  world,
  receiver,
  leadline,
}) => {
  const mail = await failure(world, receiver, ["ada", "grace", "joan"]);
  const other = await world.destination("Archive", receiver.url, { eventTypes: ["email.*"] });
  await world.publish("ada", {}, { type: "email.open", destinationId: other });
  await world.have(1, "failed", { destinationId: other });

  // The page behind the other link of the mail is for people who cannot log in.
  await page.goto(link(mail, "See the current state"));
  await page.getByRole("link", { name: "Open in the console" }).click();
  await expect(page.getByLabel("API key")).toBeVisible();
  expect(page.url()).toBe(link(mail, "Open in the console"));
  await page.getByLabel("API key").fill((await world.key("operate")).secret);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { name: "Problems" })).toBeVisible();
  await expect(page.locator("[data-row]")).toHaveCount(1);
  await expect(page.locator("[data-row]")).toContainText("answers 503");
  await expect(page.locator("[data-row]")).toContainText("CRM");

  const watching = await context.newPage();
  const deliveries = await page.getByRole("link", { name: "3 deliveries" }).getAttribute("href");
  await watching.goto(leadline.http + deliveries);
  const rows = watching.locator("[data-row]");
  await expect(rows.getByText("Failed", { exact: true })).toHaveCount(3);
  receiver.status = 200;
  await page.getByRole("button", { name: "Retry all of CRM: answers 503" }).click();
  await page.getByRole("button", { name: "Retry 3 deliveries" }).click();
  await expect(page.getByText("Completed.")).toBeVisible();
  await expect(rows.getByText("Succeeded", { exact: true })).toHaveCount(3);

  await page.getByRole("button", { name: "Back to the list" }).click();
  await expect(page.getByText("No problem matches these filters.")).toBeVisible();
  await page.getByRole("button", { name: "Remove the filter Destination: CRM" }).click();
  await expect(page.locator("[data-row]")).toContainText("Archive");
});

test("a person who opted out by a mail's link is mailed again", async ({ page, world, receiver, leadline }) => {
  const mail = await failure(world, receiver, ["ada"]);
  await page.goto(link(mail, "No more mails about failed deliveries"));
  await page.getByRole("button", { name: "Unsubscribe" }).click();
  await expect(page.getByRole("heading", { name: "You are unsubscribed" })).toBeVisible();

  await logIn(page, leadline, leadline.key, `/console/opt-outs?account=${world.account}`);
  await expect(page.locator("[data-row]")).toContainText(owner(world));
  await check(page, "opt-outs");
  await page.getByRole("button", { name: `Mail ${owner(world)} again about failures` }).click();
  await expect(page.getByText("They opted out themselves.")).toBeVisible();
  await check(page, "the end of an opt-out");
  await page.getByRole("button", { name: "Mail them again", exact: true }).click();
  await expect(page.getByText("There are no opt-outs.")).toBeVisible();
  const { optOuts = [] } = await leadline.call<{ optOuts?: object[] }>("RegistryService/ListOptOuts", {
    accountId: world.account,
  });
  expect(optOuts).toEqual([]);
});
