//! Names of receivers: silent name servers do not delay other accounts.

use std::{fs, time::Duration};

use api::DeliveryStatus;
use futures::{StreamExt as _, stream};
use testkit::{NameServer, Process, Receiver, wait};

use crate::world::{INTERFACE, SOON, World, event_json, some_destination};

const HOSTILE: &str = "hostile";
/// The number of destinations with a silent name server.
const SILENT: usize = 600;
/// The number of destinations of the honest account, each with its own name.
const HONEST: usize = 20;
/// How long the leads of the honest account may take on a busy machine. A delivery that waits for the look-ups of the
/// other account fails after four seconds and is not retried.
const TIMELY: Duration = Duration::from_secs(10);
/// The maximum number of threads. With one for each look-up it was 524.
const MAX_THREADS: usize = 64;

fn threads(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/task", process.id())).unwrap().count()
}

/// Creates an account with destinations whose name server is silent.
async fn hostile_account(world: &World) {
    let account = api::Account { account_id: HOSTILE.into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
    let interface =
        api::Interface { account_id: HOSTILE.into(), interface_id: INTERFACE.into(), ..api::Interface::default() };
    world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
    let create = |n: usize| async move {
        let destination = api::Destination {
            account_id: HOSTILE.into(),
            url: format!("http://h{n}.silent.test/"),
            timeout: Some(api::duration_to_api(Duration::from_secs(15))),
            ..some_destination()
        };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        world.registry().create_destination(request).await.unwrap();
    };
    stream::iter(0..SILENT).for_each_concurrent(64, create).await;
}

async fn failures(world: &World) -> Vec<api::Delivery> {
    let statuses = vec![DeliveryStatus::Failed.into()];
    let filter = Some(api::DeliveryFilter { account_id: HOSTILE.into(), statuses, ..api::DeliveryFilter::default() });
    let request = api::ListDeliveriesRequest { filter, page_size: 500, page_token: String::new() };
    world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
}

#[tokio::test]
async fn silent_name_servers_do_not_delay_other_accounts() {
    let hosts: Vec<_> = (0..HONEST).map(|n| format!("honest{n}.test")).collect();
    let known: Vec<_> = hosts.iter().map(|host| (host.as_str(), &["127.0.0.1"][..])).collect();
    let names = NameServer::start(&known).await;
    let address = names.address().to_string();
    let world = World::start_with(&["--dns-server", &address, "--max-deliveries-per-event", "1000"], &[]).await;
    let receiver = Receiver::start().await;
    for host in &hosts {
        world.destination(&receiver.url().replace("127.0.0.1", host)).await;
    }
    hostile_account(&world).await;

    let mut event = event_json("hostile-1");
    event["account"] = HOSTILE.into();
    assert_eq!(world.post(event.to_string(), &[]).await.0, 202);
    let looked_up = async || (0..SILENT).filter(|n| names.questions(&format!("h{n}.silent.test")) > 0).count();
    wait::until("unanswered look-ups", SOON, async || looked_up().await >= 32).await;

    world.publish("e1").await;
    wait::until_eq("the leads of the other account", TIMELY, HONEST, async || receiver.count()).await;
    assert!(looked_up().await < SILENT, "look-ups of silent names were still pending");
    assert!(threads(&world.process) <= MAX_THREADS, "{} threads", threads(&world.process));
    assert!(receiver.requests().iter().all(|seen| seen.header("leadline-event-id") == "e1"));

    let failed = wait::until("a failure of the hostile account", SOON, async || failures(&world).await.pop()).await;
    assert_eq!((failed.http_status_code, failed.error_kind.as_str()), (999, "dns"), "{failed:?}");
    let text = &failed.webhook_response;
    assert!(text.contains("no name server answered within 3s") || text.contains("was not looked up"), "{text}");
}
