//! Read models can be rebuilt at any time.

use std::process::Stdio;

use access::{AuthChannel, AuthInterceptor};
use api::{
    DeliveryStatus, JobStatus, audit_service_client::AuditServiceClient,
    delivery_service_client::DeliveryServiceClient, job_service_client::JobServiceClient,
    lead_service_client::LeadServiceClient,
};
use testkit::{Answer, Process, Receiver, postgres, wait};
use tonic::transport::Channel;

use crate::{
    jobs::retries,
    world::{ACCOUNT, SOON, World, program},
};

/// All that the API shows about leads, deliveries, jobs and the audit log, as text.
pub(crate) async fn everything(channel: &AuthChannel) -> String {
    let (mut deliveries, mut leads) =
        (DeliveryServiceClient::new(channel.clone()), LeadServiceClient::new(channel.clone()));
    let mut text = String::new();
    let all = deliveries.list_deliveries(api::ListDeliveriesRequest::default()).await.unwrap().into_inner();
    for delivery in all.deliveries {
        let request = api::GetDeliveryRequest { delivery_id: delivery.delivery_id };
        text.push_str(&format!("{:#?}\n", deliveries.get_delivery(request).await.unwrap().into_inner()));
    }
    let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    for lead in leads.list_leads(request).await.unwrap().into_inner().leads {
        text.push_str(&format!("{lead:#?}\n"));
        let request = api::GetLeadLogRequest {
            account_id: ACCOUNT.into(),
            lead_id: lead.lead_id,
            ..api::GetLeadLogRequest::default()
        };
        text.push_str(&format!("{:#?}\n", leads.get_lead_log(request).await.unwrap().into_inner().entries));
    }
    for (kind, since) in [("", None), ("destination", Some(prost_types::Timestamp::default()))] {
        let mut request = api::ListAuditLogRequest {
            account_id: ACCOUNT.into(),
            entity_kind: kind.into(),
            from: since,
            page_size: 1,
            ..api::ListAuditLogRequest::default()
        };
        loop {
            let changes = AuditServiceClient::new(channel.clone()).list_audit_log(request.clone()).await.unwrap();
            let changes = changes.into_inner();
            text.push_str(&format!("{:#?}\n", changes.entries));
            request.page_token = changes.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    let mut jobs = JobServiceClient::new(channel.clone());
    let request = api::ListJobsRequest { account_id: ACCOUNT.into(), ..api::ListJobsRequest::default() };
    for job in jobs.list_jobs(request).await.unwrap().into_inner().jobs {
        text.push_str(&format!("{job:#?}\n"));
        let request = api::ListJobRefusalsRequest { job_id: job.job_id, ..api::ListJobRefusalsRequest::default() };
        text.push_str(&format!("{:#?}\n", jobs.list_job_refusals(request).await.unwrap().into_inner().refusals));
    }
    text
}

pub(crate) fn rebuild(nats: &str, database: &str) {
    let output = std::process::Command::new(program())
        .args(["rebuild", "--nats-url", nats, "--database-url", database])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("rebuilt the read model from"), "{output:?}");
}

#[tokio::test]
async fn rebuilt_read_model_is_the_same_on_both_databases() {
    let mail_each = ["--notice-window", "0s"];
    let (world, receiver) = (World::start_with(&mail_each, &[]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    for n in 0..20 {
        world.publish(&format!("good{n}")).await;
    }
    wait::until_eq("the good ones", SOON, 20, async || receiver.count()).await;
    receiver.answer(Answer::Status(500));
    for event in ["bad", "retried"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Failed).await;
    }
    receiver.answer(Answer::Status(200));
    world.retry("retried").await.unwrap();
    world.delivery_is("retried", DeliveryStatus::Succeeded).await;
    for event in ["bad", "retried"] {
        wait::until("the notice in the log", SOON, async || {
            world.log(event).await.iter().any(|(entry, _)| entry == "errornotice")
        })
        .await;
    }
    let delivery_ids = world.all(DeliveryStatus::Succeeded).await.into_iter().map(|d| d.delivery_id).collect();
    let job = world.retry_many(api::RetryDeliveriesRequest { delivery_ids, ..retries() }).await.unwrap();
    world.job_is(&job.job_id, JobStatus::Completed).await;
    let with_key = AuthInterceptor::new(&world.key).unwrap();
    let channel = Channel::from_shared(world.grpc.clone()).unwrap().connect().await.unwrap();
    let channel = with_key.clone().over(channel);
    let has = async |what: &str| everything(&channel).await.contains(what);
    wait::until("the changes in the audit log", SOON, async || has("entity_kind: \"destination\"").await).await;
    let projected = everything(&channel).await;
    assert!(projected.contains("resentwebhook") && projected.contains("not_failed"));

    let addresses = crate::world::read_json(&world.home.data().join("addresses.json")).unwrap();
    rebuild(&world.nats, addresses["database"].as_str().unwrap());
    assert_eq!(everything(&channel).await, projected, "SQLite, rebuilt under a running service");
    // The running service continues from there.
    let client = api::Client { account_id: ACCOUNT.into(), client_id: "later".into(), name: String::new() };
    world.registry().create_client(api::CreateClientRequest { client: Some(client) }).await.unwrap();
    wait::until("the client in the audit log", SOON, async || has("entity_kind: \"client\"").await).await;
    world.publish("later").await;
    world.delivery_is("later", DeliveryStatus::Succeeded).await;
    let projected = everything(&channel).await;

    let database = postgres::database().await;
    let key = std::fs::read_to_string(world.home.data().join("master.key")).unwrap();
    let args = ["query", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let env = [
        ("LEADLINE_NATS_URL", world.nats.as_str()),
        ("LEADLINE_DATABASE_URL", &database),
        ("LEADLINE_MASTER_KEY", key.trim()),
    ];
    let query = Process::start("query", program(), args, env);
    let ready = query.wait_line("is ready:", SOON).await;
    let grpc = ready.split_once("grpc=").unwrap().1.to_owned();
    let channel = with_key.over(Channel::from_shared(grpc).unwrap().connect().await.unwrap());
    wait::until_eq("the same in PostgreSQL", SOON, projected.clone(), async || everything(&channel).await).await;
    rebuild(&world.nats, &database);
    assert_eq!(everything(&channel).await, projected, "PostgreSQL, rebuilt");
}
