//! Lines of the log have the ids of their trace and span.

use std::time::Duration;

use api::{DeliveryStatus, JobStatus};
use serde_json::{Value, json};
use testkit::{Answer, OtlpSink, Receiver, wait};

use super::{
    ENDPOINT, SOON_EXPORTED,
    logs::lines,
    spans::{CALLER, TRACE},
};
use crate::world::{SOON, World, event_json, retries, some_destination};

async fn line(world: &World, message: &str) -> Value {
    let is_meant = |line: &Value| line["fields"]["message"] == message;
    wait::until(message, SOON, async || lines(world).into_iter().find(is_meant).ok_or_else(|| world.process.output()))
        .await
}

#[tokio::test]
async fn lines_have_the_ids_of_their_trace_with_and_without_export() {
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    for exports in [false, true] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let json_lines = ("LEADLINE_LOG_FORMAT", "json");
        let export = [json_lines, (ENDPOINT, &endpoint), SOON_EXPORTED];
        let env = if exports { &export[..] } else { &export[..1] };
        // No mail server listens there.
        let args = ["--smtp-url", "smtp://127.0.0.1:1", "--log-deliveries"];
        let (world, receiver) = (World::start_with(&args, env).await, Receiver::start().await);
        let destination = api::Destination {
            url: receiver.url(),
            breaker_failures: Some(1),
            retry_policy: Some(retries(&[Duration::from_millis(100)])),
            ..some_destination()
        };
        receiver.answer_next([Answer::Reset, Answer::Status(500)]);
        world.destination_with(destination).await;
        assert_eq!(world.post(event_json("e1").to_string(), &[("traceparent", &traceparent)]).await.0, 202);
        let detail = world.delivery_is("e1", DeliveryStatus::Failed).await;
        for (message, level) in [
            ("breaker of lane opened; it allows only probes", "WARN"),
            ("breaker of lane closed; requests continue", "INFO"),
            ("delivery ended", "INFO"),
            ("mail server accepts no mails now; retrying", "WARN"),
            ("cannot send notice; retrying", "WARN"),
        ] {
            let line = line(&world, message).await;
            assert_eq!((&line["level"], &line["trace_id"]), (&json!(level), &json!(TRACE)), "{exports}: {line}");
            let span = line["span_id"].as_str().unwrap();
            assert_eq!(span == CALLER, !exports, "{exports}: {line}");
        }
        let delivery_ids = vec![detail.delivery.unwrap().delivery_id];
        let mut job = tonic::Request::new(api::RetryDeliveriesRequest { delivery_ids, ..crate::jobs::retries() });
        job.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        let job = world.jobs().retry_deliveries(job).await.unwrap().into_inner().job.unwrap();
        world.job_is(&job.job_id, JobStatus::Completed).await;
        for message in ["job runs here", "job ended"] {
            assert_eq!(line(&world, message).await["trace_id"], TRACE, "{exports}: {message}");
        }
        // A line that no trace caused has no ids.
        assert_eq!(line(&world, "this process is the leader now").await.get("trace_id"), None);
    }
}
