"""Uses Leadline with code that grpcio-tools generated from the protos: publishes, finds by e-mail, sees the payload, asks why,
retries, resends, watches, and pages through many leads.

Arguments: the folder of the generated code, address, API key, account, interface, number of events, another account and
interface, number of leads there. The receiver refuses each event once. The leads of the other interface are row-1, row-2
and so on. Prints the result of each step.
"""

import json
import sys

folder, address, key, account, interface, count, other_account, imported, leads_imported = sys.argv[1:]
sys.path.insert(0, folder)

import grpc  # noqa: E402
from google.protobuf import field_mask_pb2  # noqa: E402
from leadline.v1 import (  # noqa: E402
    account_pb2,
    delivery_pb2,
    delivery_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    lead_pb2,
    lead_pb2_grpc,
    registry_pb2_grpc,
    routing_pb2,
    routing_pb2_grpc,
)

events = [f"py{number}" for number in range(int(count))]
channel = grpc.insecure_channel(address)
metadata = [("authorization", f"Bearer {key}")]
ingest = ingest_pb2_grpc.IngestServiceStub(channel)
deliveries = delivery_pb2_grpc.DeliveryServiceStub(channel)
leads = lead_pb2_grpc.LeadServiceStub(channel)
registry = registry_pb2_grpc.RegistryServiceStub(channel)
routing = routing_pb2_grpc.RoutingServiceStub(channel)


def event_of(event, payload):
    """A request that publishes an event about the lead of the same name."""
    return ingest_pb2.PublishLeadRequest(
        account=account, interface=interface, event_id=event, lead_id=event, payload=json.dumps(payload).encode()
    )


def wait_for(status, ids, retries):
    """Watches until each of these events has a delivery with this status after this number of retries."""
    request = delivery_pb2.WatchDeliveriesRequest(account_id=account, statuses=[status], existing=True)
    watch = deliveries.WatchDeliveries(request, metadata=metadata, timeout=60)
    missing = set(ids)
    for change in watch:
        if change.delivery.retries == retries:
            missing.discard(change.delivery.event_id)
        if not missing:
            watch.cancel()
            return


def listed(status, page_size):
    """The deliveries with a status, and the number of pages."""
    found, pages, token = [], 0, ""
    while True:
        request = delivery_pb2.ListDeliveriesRequest(
            filter=delivery_pb2.DeliveryFilter(account_id=account, event_type="*", statuses=[status]),
            page_size=page_size,
            page_token=token,
        )
        page = deliveries.ListDeliveries(request, metadata=metadata)
        found, pages, token = found + list(page.deliveries), pages + 1, page.next_page_token
        if not token:
            return found, pages


def found_by_email(email):
    """The ids of the leads with a mail address, once the read model has any."""
    while True:
        request = lead_pb2.ListLeadsRequest(account_id=account, where={"email": email})
        found = leads.ListLeads(request, metadata=metadata).leads
        if found:
            return [lead.lead_id for lead in found]


def leads_of(account_id, interface_id):
    """The ids of the leads of an interface, and the number of pages of 500."""
    found, pages, token = [], 0, ""
    while True:
        request = lead_pb2.ListLeadsRequest(
            account_id=account_id, interface_id=interface_id, page_size=500, page_token=token
        )
        page = leads.ListLeads(request, metadata=metadata)
        found, pages, token = found + [lead.lead_id for lead in page.leads], pages + 1, page.next_page_token
        if not token:
            return found, pages


email = account_pb2.SearchableField(name="email", path="payload.email", kind=account_pb2.SEARCHABLE_KIND_EMAIL)
form = account_pb2.Interface(account_id=account, interface_id=interface, searchable_fields=[email])
mask = field_mask_pb2.FieldMask(paths=["searchable_fields"])
registry.UpdateInterface(account_pb2.UpdateInterfaceRequest(interface=form, update_mask=mask), metadata=metadata)
for event in events:
    payload = {"name": "Ada", "email": f"{event}@example.com"}
    ingest.PublishLead(event_of(event, payload), metadata=metadata)
wait_for(delivery_pb2.DELIVERY_STATUS_FAILED, events, 0)
failed, pages = listed(delivery_pb2.DELIVERY_STATUS_FAILED, 2)
for delivery in failed:
    request = delivery_pb2.RetryDeliveryRequest(delivery_id=delivery.delivery_id, requested_by="Ada")
    deliveries.RetryDelivery(request, metadata=metadata)
wait_for(delivery_pb2.DELIVERY_STATUS_SUCCEEDED, events, 1)
print(f"failed: {len(failed)} on {pages} pages; succeeded: {len(events)}")

found = found_by_email(" PY1@Example.com")
event = leads.GetEvent(lead_pb2.GetEventRequest(account_id=account, event_id=events[1]), metadata=metadata)
print(f"found: {', '.join(found)}; payload: {json.loads(event.payload)['email']}")

succeeded = next(delivery for delivery in failed if delivery.event_id == events[1])
request = routing_pb2.ExplainRoutingRequest(
    account_id=account, destination_id=succeeded.destination_id, event_id=events[1]
)
explained = routing.ExplainRouting(request, metadata=metadata).explanations[0]
refused = [answer.reason for answer in explained.answers if answer.outcome == routing_pb2.ROUTING_OUTCOME_NO]
print(f"explained: {explained.summary} Against it: {', '.join(refused) or 'nothing'}")

resend = delivery_pb2.RetryDeliveryRequest(delivery_id=succeeded.delivery_id, requested_by="Ada")
try:
    deliveries.RetryDelivery(resend, metadata=metadata)
    without_force = "not refused"
except grpc.RpcError as error:
    without_force = error.code().name
resend.force, resend.reason = True, "the receiver lost it"
deliveries.RetryDelivery(resend, metadata=metadata)
wait_for(delivery_pb2.DELIVERY_STATUS_SUCCEEDED, [events[1]], 2)
print(f"without force: {without_force}; resent: {events[1]}")

found, pages = leads_of(other_account, imported)
complete = set(found) == {f"row-{number}" for number in range(1, int(leads_imported) + 1)}
print(f"listed: {len(set(found))} of {len(found)} on {pages} pages; all are there: {str(complete).lower()}")
print("done", flush=True)
