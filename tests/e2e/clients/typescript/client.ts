// Uses Leadline with code that protoc-gen-es generated from the protos, over the HTTP port with fetch, as a browser does:
// publishes, watches, lists and retries.
//
// Arguments: protocol (connect or grpc-web), URL, API key, account, interface, number of events. The receiver refuses each
// event once. Prints what came of the events.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { SearchableKind } from "./leadline/v1/account_pb.js";
import { type Delivery, DeliveryService, DeliveryStatus } from "./leadline/v1/delivery_pb.js";
import { IngestService } from "./leadline/v1/ingest_pb.js";
import { LeadService } from "./leadline/v1/lead_pb.js";
import { RegistryService } from "./leadline/v1/registry_pb.js";

declare const process: { argv: string[] };

const [protocol, baseUrl, key, account, iface, count] = process.argv.slice(2);
const withKey: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${key}`);
  return next(request);
};
const options = { baseUrl, interceptors: [withKey] };
const transport =
  protocol === "grpc-web" ? createGrpcWebTransport(options) : createConnectTransport({ ...options, useHttpGet: true });
const ingest = createClient(IngestService, transport);
const deliveries = createClient(DeliveryService, transport);
const leads = createClient(LeadService, transport);
const registry = createClient(RegistryService, transport);
const events = Array.from({ length: Number(count) }, (_, number) => `${protocol}${number}`);

// Watches until each event has a delivery with this status.
async function waitFor(status: DeliveryStatus): Promise<void> {
  const missing = new Set(events);
  const watch = deliveries.watchDeliveries(
    { accountId: account, statuses: [status], existing: true },
    { timeoutMs: 60_000 },
  );
  for await (const change of watch) {
    missing.delete(change.delivery?.eventId ?? "");
    if (missing.size === 0) return;
  }
}

// The deliveries with a status, and the number of pages.
async function listed(status: DeliveryStatus, pageSize: number): Promise<[Delivery[], number]> {
  const found: Delivery[] = [];
  for (let pages = 1, pageToken = ""; ; pages += 1) {
    const filter = { accountId: account, statuses: [status] };
    const page = await deliveries.listDeliveries({ filter, pageSize, pageToken });
    found.push(...page.deliveries);
    pageToken = page.nextPageToken;
    if (pageToken === "") return [found, pages];
  }
}

// The ids of the leads with a mail address, once the read model has any.
async function foundByEmail(email: string): Promise<string[]> {
  for (;;) {
    const found = await leads.listLeads({ accountId: account, where: { email } });
    if (found.leads.length > 0) return found.leads.map((lead) => lead.leadId);
  }
}

const searchableFields = [{ name: "email", path: "payload.email", kind: SearchableKind.EMAIL }];
await registry.updateInterface({
  interface: { accountId: account, interfaceId: iface, searchableFields },
  updateMask: { paths: ["searchable_fields"] },
});
for (const eventId of events) {
  const payload = new TextEncoder().encode(JSON.stringify({ name: "Ada", email: `${eventId}@example.com` }));
  await ingest.publishLead({ account, interface: iface, eventId, leadId: eventId, payload });
}
await waitFor(DeliveryStatus.FAILED);
const [failed, pages] = await listed(DeliveryStatus.FAILED, 2);
for (const { deliveryId } of failed) {
  await deliveries.retryDelivery({ deliveryId, requestedBy: "Ada" });
}
await waitFor(DeliveryStatus.SUCCEEDED);
let refused = "nothing";
try {
  await deliveries.retryDelivery({ deliveryId: failed[0].deliveryId });
} catch (error) {
  const { code, details } = ConnectError.from(error);
  const types = details.map((detail) => ("type" in detail ? detail.type : detail.desc.typeName));
  refused = `${Code[code]} with ${types.join(", ")}`;
}
const found = await foundByEmail(` ${events[1].toUpperCase()}@Example.com`);
console.log(
  `failed: ${failed.length} on ${pages} pages; succeeded: ${events.length}; found: ${found.join(", ")}; refused: ${refused}`,
);
