"""Uses Leadline with code that grpcio-tools generated from the protos: publishes, watches, lists and retries.

Arguments: the folder of the generated code, address, API key, account, interface, number of events. The receiver refuses
each event once. Prints what came of the events.
"""

import json
import sys

folder, address, key, account, interface, count = sys.argv[1:]
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
)

events = [f"py{number}" for number in range(int(count))]
channel = grpc.insecure_channel(address)
metadata = [("authorization", f"Bearer {key}")]
ingest = ingest_pb2_grpc.IngestServiceStub(channel)
deliveries = delivery_pb2_grpc.DeliveryServiceStub(channel)
leads = lead_pb2_grpc.LeadServiceStub(channel)
registry = registry_pb2_grpc.RegistryServiceStub(channel)


def wait_for(status, ids):
    """Watches until each of these events has a delivery with this status."""
    request = delivery_pb2.WatchDeliveriesRequest(account_id=account, statuses=[status], existing=True)
    watch = deliveries.WatchDeliveries(request, metadata=metadata, timeout=60)
    missing = set(ids)
    for change in watch:
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


email = account_pb2.SearchableField(name="email", path="payload.email", kind=account_pb2.SEARCHABLE_KIND_EMAIL)
form = account_pb2.Interface(account_id=account, interface_id=interface, searchable_fields=[email])
mask = field_mask_pb2.FieldMask(paths=["searchable_fields"])
registry.UpdateInterface(account_pb2.UpdateInterfaceRequest(interface=form, update_mask=mask), metadata=metadata)
for event in events:
    payload = {"name": "Ada", "email": f"{event}@example.com"}
    lead = ingest_pb2.PublishLeadRequest(
        account=account, interface=interface, event_id=event, lead_id=event, payload=json.dumps(payload).encode()
    )
    ingest.PublishLead(lead, metadata=metadata)
wait_for(delivery_pb2.DELIVERY_STATUS_FAILED, events)
failed, pages = listed(delivery_pb2.DELIVERY_STATUS_FAILED, 2)
for delivery in failed:
    request = delivery_pb2.RetryDeliveryRequest(delivery_id=delivery.delivery_id, requested_by="Ada")
    deliveries.RetryDelivery(request, metadata=metadata)
wait_for(delivery_pb2.DELIVERY_STATUS_SUCCEEDED, events)
try:
    again = delivery_pb2.RetryDeliveryRequest(delivery_id=failed[0].delivery_id)
    deliveries.RetryDelivery(again, metadata=metadata)
    refused = "nothing"
except grpc.RpcError as error:
    refused = error.code().name
found = found_by_email(" PY1@Example.com")
print(
    f"failed: {len(failed)} on {pages} pages; succeeded: {len(events)}; found: {', '.join(found)}; refused: {refused}",
    flush=True,
)
