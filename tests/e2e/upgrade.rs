//! A data directory of an older version is opened, and its work continues. `upgrade/make.py` wrote it with commit
//! 0df4b80.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use api::{DeliveryStatus, JobStatus};
use serde_json::Value;
use testkit::{receiver::Receiver, wait};

use crate::world::{ACCOUNT, Home, SOON, World, event_json, events_at, read_json};

/// The receiver of the fixture's destinations.
const RECEIVER: &str = "127.83.12.7:18431";
/// Events that the older version delivered; they must not be sent again.
const DELIVERED: [&str; 4] = ["delivered-0", "delivered-1", "delivered-2", "forgotten"];
const JOB_DELIVERIES: u64 = 15;
/// The trace of a publisher.
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Fixture {
    world: World,
    receiver: Receiver,
    names: Value,
}

impl Fixture {
    async fn open() -> Self {
        let receiver = Receiver::start_at(RECEIVER.parse::<SocketAddr>().unwrap()).await;
        let home = Home::new();
        let folder = home.data().parent().unwrap().to_owned();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/upgrade/0df4b80.tar.gz");
        let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder).status().unwrap();
        assert!(unpacked.success(), "tar: {unpacked}");
        // The file has the ports of the process that wrote it.
        let _ = fs::remove_file(home.data().join("addresses.json"));
        let names = read_json(&home.data().join("fixture.json")).unwrap();
        let process = home.up(&[], &[]);
        Self { world: World::attach(home, process).await, receiver, names }
    }

    fn destination(&self, name: &str) -> &str {
        self.names["destinations"][name].as_str().unwrap()
    }

    async fn all_become(&self, kind: &str, status: DeliveryStatus) {
        for n in 0..3 {
            self.world.delivery_is(&format!("{kind}-{n}"), status).await;
        }
    }

    async fn job(&self) -> api::Job {
        let request = api::GetJobRequest { job_id: self.names["job"].as_str().unwrap().into() };
        self.world.jobs().get_job(request).await.unwrap().into_inner()
    }
}

#[tokio::test]
async fn work_in_an_older_data_directory_continues() {
    let fixture = Fixture::open().await;
    let world = &fixture.world;
    let waits = ["waiting", "parked", "ordered"].map(|kind| fixture.all_become(kind, DeliveryStatus::Succeeded));
    futures::future::join_all(waits).await;
    let order: Vec<_> = events_in_order(&fixture.receiver, "ordered-");
    assert_eq!(order, ["ordered-0", "ordered-1", "ordered-2"]);

    fixture.all_become("failed", DeliveryStatus::Failed).await;
    world.retry("failed-0").await.unwrap();
    world.delivery_is("failed-0", DeliveryStatus::Succeeded).await;

    fixture.all_become("held", DeliveryStatus::Held).await;
    world.enable(fixture.destination("held"), false).await;
    fixture.all_become("held", DeliveryStatus::Succeeded).await;

    let lead = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: "forgotten".into() };
    assert!(world.leads().get_lead(lead).await.unwrap().into_inner().anonymised);

    let job = wait::until("the end of the job", 2 * SOON, async || {
        let job = fixture.job().await;
        if job.status() == JobStatus::Completed { Ok(job) } else { Err(job) }
    })
    .await;
    assert_eq!(job.counts.unwrap().retried, JOB_DELIVERIES);

    let mut event = event_json("new");
    event["interface"] = "delivered".into();
    let headers = [("traceparent", CALLER), ("tracestate", "vendor=7")];
    assert_eq!(world.post(event.to_string(), &headers).await.0, 202);
    let delivered = world.delivery_is("new", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!(delivered.destination_id, fixture.destination("delivered"));
    let sent_again: Vec<_> = events_at(&fixture.receiver).into_iter().filter(|id| DELIVERED.contains(&&**id)).collect();
    assert!(sent_again.is_empty(), "{sent_again:?}");
    assert!(signature_of(&fixture.receiver, "new").starts_with("v1,"), "the master key opens the older secret");
    // A destination that is older than the setting `trace_context` still gets the same headers.
    let seen = fixture.receiver.requests().into_iter().find(|seen| seen.header("webhook-id") == "new").unwrap();
    assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (CALLER, "vendor=7"));
}

/// The events of this kind, in order of arrival.
fn events_in_order(receiver: &Receiver, kind: &str) -> Vec<String> {
    let all = receiver.requests().into_iter().map(|seen| seen.header("webhook-id").to_owned());
    all.filter(|id| id.starts_with(kind)).collect()
}

fn signature_of(receiver: &Receiver, event: &str) -> String {
    let seen = receiver.requests().into_iter().find(|seen| seen.header("webhook-id") == event).unwrap();
    seen.header("webhook-signature").to_owned()
}
