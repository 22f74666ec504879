//! Databases in production setups: PostgreSQL with TLS only, and PostgreSQL behind a transaction pooler.

use api::DeliveryStatus;
use futures::future::join_all;
use testkit::{PgBouncer, Postgres, Process, Receiver, tls::Authority, wait};

use crate::{
    processes::{Alone, arguments},
    world::{ACCOUNT, Home, SOON, World, program},
};

/// The number of leads.
const LEADS: usize = 200;
/// The number of concurrent clients.
const CLIENTS: usize = 16;
/// Requests per client.
const REQUESTS: usize = 20;

#[tokio::test]
async fn postgres_with_tls_only_is_used_over_tls() {
    let authority = Authority::default();
    let server = Postgres::start_tls(&authority).await;
    let database = server.database().await;
    let receiver = Receiver::start().await;
    let world = World::start_with(&["--database-url", &database], &[]).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    // The server refuses clients without TLS; the service has written its rows.
    let tables = testkit::postgres::rows(&database).await;
    assert_eq!(tables["deliveries"].len(), 1);
    world.process.kill();

    let (broker, plain) = (testkit::NatsServer::start().await, database.split('?').next().unwrap().to_owned());
    let refused = Process::start(
        "query",
        program(),
        arguments("query", &[]),
        [
            ("LEADLINE_DATABASE_URL", format!("{plain}?sslmode=disable")),
            ("LEADLINE_NATS_URL", broker.url()),
            ("LEADLINE_MASTER_KEY", crypto::MasterKey::generate().unwrap().reveal()),
        ],
    );
    wait::until("the end of query", SOON, async || !refused.is_running()).await;
    let output = refused.output();
    assert!(output.contains("the server demands TLS: add ?sslmode=require"), "{output}");
}

#[tokio::test]
async fn queries_work_behind_a_transaction_pooler() {
    let server = Postgres::start().await;
    let database = server.database().await;
    let pooler = PgBouncer::start(&server).await;
    let name = database.rsplit('/').next().unwrap();
    let alone = Alone::start(pooler.url(name)).await;
    let (one, two) = (alone.query(Home::new(), &[]).await, alone.query(Home::new(), &[]).await);
    let receiver = Receiver::start().await;
    one.set_up().await;
    one.destination(&receiver.url()).await;
    one.publish_many(LEADS).await;
    join_all((0..CLIENTS).map(async |client| {
        let world = if client % 2 == 0 { &one } else { &two };
        for _ in 0..REQUESTS {
            let deliveries = api::ListDeliveriesRequest { page_size: 50, ..api::ListDeliveriesRequest::default() };
            world.deliveries().list_deliveries(deliveries).await.unwrap();
            let account_id = ACCOUNT.into();
            let leads = api::ListLeadsRequest { account_id, page_size: 50, ..api::ListLeadsRequest::default() };
            world.leads().list_leads(leads).await.unwrap();
        }
    }))
    .await;
    wait::until("every delivery", SOON, async || two.all(DeliveryStatus::Succeeded).await.len() == LEADS).await;
    assert!(one.process.output().contains("behind a transaction pooler"), "{}", one.process.output());

    two.process.kill();
    let two = alone.query(two.home, &[]).await;
    assert_eq!(two.all(DeliveryStatus::Succeeded).await.len(), LEADS);
    let through = testkit::postgres::rows(&database).await;
    assert_eq!(through["deliveries"].len(), LEADS);
}
