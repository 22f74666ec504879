// Uses Leadline with code that protoc-gen-es generated from the protos, over the HTTP port with fetch, as a browser does:
// publishes, finds by e-mail, sees the payload, asks why, retries, resends, watches, and pages through many leads.
//
// Arguments: protocol (connect or grpc-web), URL, API key, account, interface, number of events, another account and
// interface, number of leads there. The receiver refuses each event once. The leads of the other interface are row-1,
// row-2 and so on. Prints the result of each step.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { SearchableKind } from "./leadline/v1/account_pb.js";
import { type Delivery, DeliveryService, DeliveryStatus } from "./leadline/v1/delivery_pb.js";
import { IngestService } from "./leadline/v1/ingest_pb.js";
import { LeadService } from "./leadline/v1/lead_pb.js";
import { RegistryService } from "./leadline/v1/registry_pb.js";
import { RoutingOutcome, RoutingService } from "./leadline/v1/routing_pb.js";

declare const process: { argv: string[]; exit(code: number): never };

const [protocol, baseUrl, key, account, iface, count, otherAccount, imported, leadsImported] = process.argv.slice(2);
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
const routing = createClient(RoutingService, transport);
const events = Array.from({ length: Number(count) }, (_, number) => `${protocol}${number}`);

// Watches until each of these events has a delivery with this status after this number of retries.
async function waitFor(status: DeliveryStatus, ids: string[], retries: number): Promise<void> {
  const missing = new Set(ids);
  const watch = deliveries.watchDeliveries(
    { accountId: account, statuses: [status], existing: true },
    { timeoutMs: 60_000 },
  );
  for await (const { delivery } of watch) {
    if (delivery?.retries === retries) missing.delete(delivery.eventId);
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

// The ids of the leads of an interface, and the number of pages of 500.
async function leadsOf(accountId: string, interfaceId: string): Promise<[string[], number]> {
  const found: string[] = [];
  for (let pages = 1, pageToken = ""; ; pages += 1) {
    const page = await leads.listLeads({ accountId, interfaceId, pageSize: 500, pageToken });
    found.push(...page.leads.map((lead) => lead.leadId));
    pageToken = page.nextPageToken;
    if (pageToken === "") return [found, pages];
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
await waitFor(DeliveryStatus.FAILED, events, 0);
const [failed, pages] = await listed(DeliveryStatus.FAILED, 2);
for (const { deliveryId } of failed) {
  await deliveries.retryDelivery({ deliveryId, requestedBy: "Ada" });
}
await waitFor(DeliveryStatus.SUCCEEDED, events, 1);
console.log(`failed: ${failed.length} on ${pages} pages; succeeded: ${events.length}`);

const eventId = events[1];
const found = await foundByEmail(` ${eventId.toUpperCase()}@Example.com`);
const event = await leads.getEvent({ accountId: account, eventId });
console.log(`found: ${found.join(", ")}; payload: ${JSON.parse(new TextDecoder().decode(event.payload)).email}`);

const { deliveryId, destinationId } = failed.find((delivery) => delivery.eventId === eventId)!;
const { explanations } = await routing.explainRouting({ accountId: account, destinationId, eventId });
const refused = explanations[0].answers.filter((answer) => answer.outcome === RoutingOutcome.NO);
const against = refused.map((answer) => answer.reason).join(", ") || "nothing";
console.log(`explained: ${explanations[0].summary} Against it: ${against}`);

let withoutForce = "not refused";
try {
  await deliveries.retryDelivery({ deliveryId });
} catch (error) {
  const { code, details } = ConnectError.from(error);
  const types = details.map((detail) => ("type" in detail ? detail.type : detail.desc.typeName));
  withoutForce = `${Code[code]} with ${types.join(", ")}`;
}
await deliveries.retryDelivery({ deliveryId, requestedBy: "Ada", force: true, reason: "the receiver lost it" });
await waitFor(DeliveryStatus.SUCCEEDED, [eventId], 2);
console.log(`without force: ${withoutForce}; resent: ${eventId}`);

const [all, allPages] = await leadsOf(otherAccount, imported);
const unique = new Set(all);
const ids = Array.from({ length: Number(leadsImported) }, (_, row) => `row-${row + 1}`);
const complete = unique.size === ids.length && ids.every((id) => unique.has(id));
console.log(`listed: ${unique.size} of ${all.length} on ${allPages} pages; all are there: ${complete}`);
console.log("done");
// A connection that a watch has used would keep Node running.
process.exit(0);
