// Fixtures of the browser tests: a running Leadline for each worker, and an account for each test.
import { test as base, type Page } from "@playwright/test";
import { type Json, Leadline, until } from "./leadline";
import { Receiver } from "./receiver";

export { expect } from "@playwright/test";

/** The account of one test, with the interface "form". */
export class World {
  private events = 0;

  constructor(
    readonly leadline: Leadline,
    readonly account: string,
  ) {}

  async key(...scopes: string[]): Promise<{ id: string; secret: string }> {
    const request = {
      accountId: this.account,
      name: `key of ${this.account}`,
      scopes: scopes.map((s) => `SCOPE_${s.toUpperCase()}`),
    };
    const made = await this.leadline.call<{ key: { keyId: string }; secret: string }>(
      "AccessService/CreateKey",
      request,
    );
    return { id: made.key.keyId, secret: made.secret };
  }

  /** Creates a destination whose deliveries are attempted once, and returns its id. */
  async destination(name: string, url: string, settings: Json = {}): Promise<string> {
    const destination = { accountId: this.account, name, url, retryPolicy: { preset: "manual" }, ...settings };
    const made = await this.leadline.call<{ destinationId: string }>("RegistryService/CreateDestination", {
      destination,
    });
    return made.destinationId;
  }

  /** Publishes an event of this lead and returns its id. */
  async publish(lead: string, payload: Json = { name: lead }, settings: Json = {}): Promise<string> {
    this.events += 1;
    const eventId = `${this.account}-${this.events}`;
    const bytes = Buffer.from(JSON.stringify(payload)).toString("base64");
    const request = { account: this.account, interface: "form", leadId: lead, eventId, payload: bytes, ...settings };
    await this.leadline.call("IngestService/PublishLead", request);
    return eventId;
  }

  /** Waits until at least this many deliveries of the account have this status, and returns them. */
  async have(count: number, status: string, filter: Json = {}): Promise<{ deliveryId: string; leadId: string }[]> {
    const all = { accountId: this.account, statuses: [`DELIVERY_STATUS_${status.toUpperCase()}`], ...filter };
    const list = async () => {
      const { deliveries = [] } = await this.leadline.call<{ deliveries?: { deliveryId: string; leadId: string }[] }>(
        "DeliveryService/ListDeliveries",
        { filter: all, pageSize: 500 },
      );
      return deliveries.length >= count ? deliveries : undefined;
    };
    return until(`${count} ${status}`, 30_000, list);
  }
}

export async function newWorld(leadline: Leadline, account: string): Promise<World> {
  await leadline.call("RegistryService/CreateAccount", { account: { accountId: account, name: account } });
  await leadline.call("RegistryService/CreateInterface", {
    interface: { accountId: account, interfaceId: "form", name: "Form" },
  });
  return new World(leadline, account);
}

export async function logIn(page: Page, leadline: Leadline, key: string, path = "/console/"): Promise<void> {
  await page.goto(leadline.http + path);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Screens" }).waitFor();
}

export interface OfTest {
  world: World;
  receiver: Receiver;
  /** A page that is logged in with an administrator's key of the account. */
  inside: Page;
}

let accounts = 0;

export const test = base.extend<OfTest, { leadline: Leadline }>({
  leadline: [
    async ({}, use) => {
      const leadline = await Leadline.startAtFixedAddress();
      await use(leadline);
      await leadline.stop();
    },
    { scope: "worker", timeout: 90_000 },
  ],
  world: async ({ leadline }, use, info) => {
    accounts += 1;
    await use(await newWorld(leadline, `acme-${info.workerIndex}-${accounts}`));
  },
  receiver: async ({}, use) => {
    const receiver = await Receiver.start();
    await use(receiver);
    await receiver.stop();
  },
  inside: async ({ page, world, leadline }, use) => {
    const { secret } = await world.key("admin");
    await logIn(page, leadline, secret, "/console/deliveries");
    await use(page);
  },
});
