// Every screen: axe finds nothing, in light and in dark; and its picture is taken.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, logIn, test } from "./support/test";

/** `LEADLINE_PICTURES=docs/console` renews the pictures of docs/console.md. */
const ROOT = resolve(import.meta.dirname, "../..");
const PICTURES = join(ROOT, process.env.LEADLINE_PICTURES ?? "target/console/pictures");

async function check(page: Page, name: string): Promise<void> {
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await new AxeBuilder({ page })
      .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
      .analyze();
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    expect(found, `${name}, ${colorScheme}`).toEqual([]);
  }
}

async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

test("axe finds nothing on any screen", async ({ page, world, receiver, leadline }) => {
  test.setTimeout(150_000);
  receiver.status = 503;
  receiver.body = "maintenance until 14:00";
  const crm = await world.destination("CRM", receiver.url);
  await world.destination("Newsletter", receiver.url, { eventTypes: ["email.*"], enabled: false });
  for (const lead of ["ada", "grace", "joan", "katherine"]) await world.publish(lead);
  await world.publish("ada", { opened: true }, { type: "email.open" });
  const [failed] = await world.have(4, "failed");
  receiver.status = 200;
  await world.publish("hedy");
  await world.have(1, "succeeded");
  await page.goto(`${leadline.http}/console/`);
  await page.getByLabel("API key").waitFor();
  await check(page, "log-in");
  await logIn(page, leadline, leadline.key, `/console/deliveries?account=${world.account}`);
  const open = async (path: string, ready: string): Promise<void> => {
    await page.goto(`${leadline.http}/console/${path}${path.includes("?") ? "&" : "?"}account=${world.account}`);
    await page.getByText(ready).first().waitFor({ timeout: 20_000 });
    await check(page, path);
  };
  await open("deliveries", "hedy");
  await picture(page, "deliveries");
  await open("deliveries?status=failed&retry=matching", "would be retried");
  await picture(page, "retry");
  await open("deliveries?lead=nobody", "No delivery matches");
  await open(`deliveries/${failed?.deliveryId}`, "maintenance until");
  await picture(page, "delivery");
  await open("leads", "hedy");
  await open(`leads/ada?why=${crm}`, "Existed then");
  await picture(page, "lead");
  await open("destinations", "Newsletter");
  await picture(page, "destinations");
  await open(`destinations/${crm}`, "Latest attempts");
  await picture(page, "destination");
  for (const action of ["disable", "test", "recover", "delete"])
    await open(`destinations/${crm}?do=${action}`, "Cancel");
  await open(`destinations/${crm}/edit`, "Retry policy");
  await open("destinations/new", "Retry policy");
  await open("jobs", "Bulk retry");
  await open("audit", "created");
  await open("keys", "API keys");
  await open("keys?do=create", "Expires");
  await open("status", "Everything works");
  await open("nowhere", "no such screen");
  await page.keyboard.press("?");
  await check(page, "help");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await check(page, "palette");
});
