// Outages of one Leadline: its broker is killed, it is stopped, its database is locked. So the tests run one by one.
import { check } from "./support/axe";
import { Broker, Leadline, lock } from "./support/leadline";
import { expect, logIn, newWorld, test } from "./support/test";

test.describe.configure({ mode: "default", timeout: 120_000 });

let broker: Broker;
let leadline: Leadline;

test.beforeAll(async () => {
  broker = await Broker.start();
  leadline = await Leadline.startAtFixedAddress("--nats-url", broker.url);
});

test.afterAll(async () => {
  // Without its broker, Leadline drains for 75 seconds.
  test.setTimeout(120_000);
  await leadline.stop();
  await broker.stop();
});

test("the console names a killed broker, and recovers when it is back", async ({ page, receiver }) => {
  const world = await newWorld(leadline, "killed");
  receiver.status = 500;
  await world.destination("CRM", receiver.url);
  await world.publish("ada");
  await world.have(1, "failed");
  await page.clock.install();
  await logIn(page, leadline, (await world.key("admin")).secret, "/console/deliveries");
  await page.getByRole("link", { name: /^Failed/ }).click();
  await page.getByRole("button", { name: "Retry" }).waitFor();

  await broker.kill();
  // The page polls every 15 seconds.
  await page.clock.fastForward(15_000);
  await expect(page.getByText("A part of Leadline does not work now.")).toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole("listitem").filter({ hasText: "broker" })).toBeVisible();
  await check(page, "a part does not work");
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByText(/Not retried\./)).toBeVisible({ timeout: 30_000 });

  await broker.run();
  await expect(page.getByText("A part of Leadline does not work now.")).toHaveCount(0, { timeout: 60_000 });
  receiver.status = 200;
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByText("CRM accepted this delivery on attempt 2")).toBeVisible({ timeout: 30_000 });
});

test("a list that cannot be read says so, and is read when Leadline is back", async ({ page }) => {
  const world = await newWorld(leadline, "ended");
  await logIn(page, leadline, (await world.key("admin")).secret, "/console/deliveries");
  await page.getByText("There is no delivery yet").waitFor();
  await leadline.halt();
  await page.getByRole("link", { name: "Leads" }).click();
  const failed = page.getByRole("heading", { name: "Leadline cannot be reached" });
  await expect(failed).toBeVisible();
  await expect(page.getByText("This page may be out of date.")).toBeVisible();
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(failed).toBeVisible();
  await check(page, "a list that cannot be read");
  await leadline.run();
  await expect(page.getByText("There is no lead yet")).toBeVisible({ timeout: 30_000 });
});

test("lists that are behind say until when they show what happened", async ({ page, receiver }) => {
  const world = await newWorld(leadline, "behind");
  await world.destination("CRM", receiver.url);
  await page.clock.install();
  await logIn(page, leadline, leadline.key, `/console/deliveries?account=${world.account}`);
  await page.getByText("There is no delivery yet").waitFor();
  const release = await lock(leadline.database);
  await world.publish("ada");
  // The page polls every 10 seconds.
  await page.clock.fastForward(10_000);
  const behind = page.getByText(
    /Lists are behind\..*They show what happened until \d\d:\d\d:\d\d; \d+ facts? to come\./,
  );
  await expect(behind).toBeVisible({ timeout: 30_000 });
  await check(page, "lists are behind");
  await release();
  await expect(behind).toHaveCount(0, { timeout: 30_000 });
  await world.have(1, "succeeded");
});
