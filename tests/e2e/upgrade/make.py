#!/usr/bin/env python3
"""Writes the data directory that tests/e2e/upgrade.rs opens.

    make.py PROGRAM NATS_SERVER OUTPUT.tar.gz

PROGRAM is leadline as commit 0df4b80 builds it. Needs nats-py (pip install nats-py). The maximum age of the streams is
removed before the program stops, so that the broker does not expire their messages when the fixture is old.
"""

import asyncio
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

# The receiver of the test listens here, too. Nothing else uses this loopback address.
RECEIVER = ("127.83.12.7", 18431)
ACCOUNT = "acme"
program, nats_server, output = sys.argv[1:4]
folder = pathlib.Path(tempfile.mkdtemp(prefix="upgrade."))
data = folder / "data"


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(500 if "failing" in self.path else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(RECEIVER, Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()

log = open(folder / "log", "w+")
up = subprocess.Popen(
    [program, "up", "--data-dir", data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--nats-server", nats_server,
     "--allow-plain-http", "--allow-network", "127.0.0.0/8"],
    stdout=log, stderr=subprocess.STDOUT,
)


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    sys.exit(f"{what} did not happen; the log is {folder / 'log'}")


def address():
    return re.search(r"grpc\S*?[= ]\"?(?:http://)?(127\.0\.0\.1:\d+)", (folder / "log").read_text())


grpc = until("the start", address).group(1)


def call(method, **request):
    answer = subprocess.run(
        [program, "call", "--grpc-url", f"http://{grpc}", "--data-dir", data, method, json.dumps(request)],
        capture_output=True, text=True,
    )
    if answer.returncode:
        sys.exit(f"{method}: {answer.stderr}")
    return json.loads(answer.stdout)


def destination(name, path, **settings):
    call("RegistryService/CreateInterface", interface={"account_id": ACCOUNT, "interface_id": name, "name": name})
    url = f"http://{RECEIVER[0]}:{RECEIVER[1]}/{path}"
    made = call("RegistryService/CreateDestination",
                destination={"account_id": ACCOUNT, "interface_id": name, "name": name, "url": url, **settings})
    return made["destination_id"]


def publish(interface, lead, event, kind="lead.created"):
    call("IngestService/PublishLead", account=ACCOUNT, interface=interface, lead_id=lead, event_id=event, type=kind,
         payload=__import__("base64").b64encode(json.dumps({"email": f"{lead}@example.com"}).encode()).decode())


def deliveries(of, status):
    found = call("DeliveryService/ListDeliveries", filter={"account_id": ACCOUNT, "destination_id": of,
                                                           "statuses": [status]}, page_size=200)
    return found.get("deliveries", [])


async def keep_for_ever():
    import nats

    broker = (data / "nats.conf").read_text()
    port = re.search(r"(?:port|listen)\W+(?:127\.0\.0\.1:)?(\d+)", broker).group(1)
    password = re.search(r"password\W+([^\s\"]+)", broker).group(1)
    connection = await nats.connect(f"nats://leadline:{password}@127.0.0.1:{port}")
    for stream in ["LEADS", "DELIVERIES", "NOTICES", "JOBS", "ANONYMISED", "POISON"]:
        answer = json.loads((await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"")).data)
        configuration = answer["config"] | {"max_age": 0}
        answer = json.loads((await connection.request(
            f"$JS.API.STREAM.UPDATE.{stream}", json.dumps(configuration).encode())).data)
        assert "error" not in answer, answer
    await connection.close()


call("RegistryService/CreateAccount", account={"account_id": ACCOUNT, "name": "Acme"})
manual = {"preset": "manual"}
late = {"custom": {"schedule": ["20s", "3600s"]}}
of = {
    "delivered": destination("delivered", "ok"),
    "failed": destination("failed", "failing", retry_policy=manual),
    "waiting": destination("waiting", "failing", retry_policy=late),
    "held": destination("held", "ok"),
    "ordered": destination("ordered", "failing", retry_policy=late, ordered=True),
    "parked": destination("parked", "ok", breaker_failures=1, retry_policy=late),
    "job": destination("job", "failing", retry_policy=manual),
}
token = call("RegistryService/CreateToken", account_id=ACCOUNT, name="signing")
(folder / "secret").write_text(token["secret"])
call("RegistryService/AssignToken", account_id=ACCOUNT, destination_id=of["delivered"],
     token_id=token["token"]["token_id"])
call("RegistryService/DisableDestination", account_id=ACCOUNT, destination_id=of["held"])
for n in range(3):
    for interface in ["delivered", "failed", "waiting", "held"]:
        publish(interface, f"{interface}-{n}", f"{interface}-{n}")
    publish("ordered", "ordered", f"ordered-{n}", kind=f"lead.step{n}")
for n in range(15):
    publish("job", f"job-{n}", f"job-{n}")
publish("delivered", "forgotten", "forgotten")
until("delivery", lambda: len(deliveries(of["delivered"], "DELIVERY_STATUS_SUCCEEDED")) == 4)
until("failure", lambda: len(deliveries(of["failed"], "DELIVERY_STATUS_FAILED")) == 3)
until("waiting", lambda: len(deliveries(of["waiting"], "DELIVERY_STATUS_RETRYING")) == 3)
until("holding", lambda: len(deliveries(of["held"], "DELIVERY_STATUS_HELD")) == 3)
until("the failures for the job", lambda: len(deliveries(of["job"], "DELIVERY_STATUS_FAILED")) == 15)
call("LeadService/AnonymizeLeads", account_id=ACCOUNT, lead_ids=["forgotten"])
# The receiver is stopped, so later deliveries are parked.
server.shutdown()
server.server_close()
for n in range(3):
    publish("parked", f"parked-{n}", f"parked-{n}")
until("parking", lambda: call("StatusService/GetStatus").get("parked"))
job = call("JobService/RetryDeliveries", account_id=ACCOUNT, pace=1, filter={"destination_id": of["job"], "statuses": ["DELIVERY_STATUS_FAILED"]},
           requested_by="the fixture")
until("the job", lambda: int(call("JobService/GetJob", job_id=job["job"]["job_id"]).get("counts", {}).get("retried", 0)))
asyncio.run(keep_for_ever())
up.send_signal(signal.SIGTERM)
if up.wait(60):
    sys.exit(f"leadline did not stop cleanly; the log is {folder / 'log'}")
(data / "fixture.json").write_text(json.dumps({"destinations": of, "job": job["job"]["job_id"], "secret": token["secret"]}))
with tarfile.open(output, "w:gz") as archive:
    archive.add(data, arcname="data")
print(f"{output}: {os.path.getsize(output)} bytes")
shutil.rmtree(folder)
