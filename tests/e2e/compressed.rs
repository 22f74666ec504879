//! Publishers that compress their requests.

use std::io::Write as _;

use api::{DeliveryStatus, ingest_service_client::IngestServiceClient};
use flate2::{Compression, write::GzEncoder};
use testkit::Receiver;
use tonic::{Code, codec::CompressionEncoding};

use crate::{
    publishing::request,
    world::{ACCOUNT, World, event_json, web},
};

const GZIP: [(&str, &str); 1] = [("content-encoding", "gzip")];

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_is_accepted_and_other_encodings_are_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let (status, answer) = world.post(gzip(event_json("e1").to_string().as_bytes()), &GZIP).await;
    assert_eq!((status, answer["event_id"].as_str()), (202, Some("e1")), "{answer}");
    let lines: Vec<_> = (2..52).map(|n| event_json(&format!("e{n}")).to_string()).collect();
    let headers = [GZIP[0], ("content-type", "application/x-ndjson")];
    let (status, answer) = world.post(gzip(lines.join("\n").as_bytes()), &headers).await;
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (202, 50));
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let seen = receiver.requests().into_iter().find(|seen| seen.header("leadline-event-id") == "e1").unwrap();
    assert_eq!(seen.body, event_json("e1")["payload"].to_string().as_bytes());

    // The limit applies to the uncompressed size.
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    for (body, status) in [(bomb, 413), (event_json("plain").to_string().into_bytes(), 400)] {
        let (got, answer) = world.post(body, &GZIP).await;
        assert_eq!((got, &answer["error"]["field"]), (status, &"body".into()), "{answer}");
    }
    for encoding in ["br", "deflate", "gzip, gzip"] {
        let call = web().post(format!("{}/v1/leads", world.http)).bearer_auth(&world.key);
        let call = call.header("content-encoding", encoding).body(event_json("no").to_string());
        let answer = call.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["accept-encoding"]), (415, &"gzip".parse().unwrap()));
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["error"]["field"], "content-encoding");
    }
}

#[tokio::test]
async fn grpc_clients_may_compress_within_the_same_limit() {
    let world = World::start().await;
    let mut ingest = IngestServiceClient::new(world.channel()).send_compressed(CompressionEncoding::Gzip);
    assert_eq!(ingest.publish_lead(request("e1")).await.unwrap().into_inner().event_id, "e1");
    let requests = futures::stream::iter((2..12).map(|n| request(&format!("e{n}"))));
    let results = ingest.publish_leads(requests).await.unwrap().into_inner();
    let results: Vec<_> = futures::TryStreamExt::try_collect(results).await.unwrap();
    assert_eq!(results.len(), 10);
    let mut registry = api::registry_service_client::RegistryServiceClient::new(world.channel())
        .send_compressed(CompressionEncoding::Gzip);
    let account = registry.get_account(api::GetAccountRequest { account_id: ACCOUNT.into() }).await.unwrap();
    assert_eq!(account.into_inner().account_id, ACCOUNT);
    // A few kilobytes that expand to 64 MiB.
    let bomb = api::PublishLeadRequest { payload: vec![b' '; 64 * 1024 * 1024].into(), ..request("bomb") };
    let refused = ingest.publish_lead(bomb).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
}
