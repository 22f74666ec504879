"""Streams lead events with grpcio without waiting for answers. It gets the API by reflection only.

Arguments: address, API key, account, interface, number of events, bytes of each payload. Prints the results.
"""

import collections
import sys
import threading

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, key, account, interface, count, size = sys.argv[1:]
channel = grpc.insecure_channel(address)
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
service = pool.FindServiceByName("leadline.v1.IngestService")
metadata = [("authorization", f"Bearer {key}")]


def method(name, make):
    described = service.methods_by_name[name]
    request = message_factory.GetMessageClass(described.input_type)
    answer = message_factory.GetMessageClass(described.output_type)
    call = make(
        f"/{service.full_name}/{name}",
        request_serializer=request.SerializeToString,
        response_deserializer=answer.FromString,
    )
    return request, call


Request, publish_leads = method("PublishLeads", channel.stream_stream)
_, publish_lead = method("PublishLead", channel.unary_unary)
payload = b"{}" if int(size) <= 2 else b'"' + b"x" * (int(size) - 2) + b'"'
event = Request(account=account, interface=interface, payload=payload)
unary = collections.Counter()
streamed = threading.Event()


def publish_beside():
    """A unary call now and then on the same connection."""
    while not streamed.wait(0.2):
        try:
            publish_lead(event, metadata=metadata, timeout=20)
            unary["ok"] += 1
        except grpc.RpcError as error:
            unary[f"{error.code()} {error.details()}"] += 1


beside = threading.Thread(target=publish_beside)
beside.start()
results = collections.Counter()
try:
    for result in publish_leads((event for _ in range(int(count))), metadata=metadata):
        results[result.WhichOneof("result")] += 1
    results["end"] += 1
except grpc.RpcError as error:
    results[f"{error.code()} {error.details()}"] += 1
streamed.set()
beside.join()
print(f"streamed: {dict(results)}; beside: {dict(unary)}", flush=True)
