//! The notifier is killed between two steps, runs beside others, or has no mail server: each recipient gets each mail
//! once. Only the mail that was in flight during a crash may be repeated.

use std::collections::HashSet;

use api::DeliveryStatus;
use testkit::{Answer, NatsServer, Process, Receiver, SmtpSink, free_port, wait};

use super::{bodies, count_of_further, header, subjects, world_with};
use crate::world::{ACCOUNT, Home, OWNER, SOON, World, program, some_destination};

const OTHER: &str = "other@acme.example";

/// Adds a second recipient of failure notices.
async fn add_recipient(world: &World) {
    let account = api::Account {
        account_id: ACCOUNT.into(),
        notification_emails: vec![OWNER.into(), OTHER.into()],
        ..api::Account::default()
    };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["notification_emails".into()] });
    let request = api::UpdateAccountRequest { account: Some(account), update_mask };
    world.registry().update_account(request).await.unwrap();
}

/// Lets the process die at this crash point after a failure with two recipients, and restarts it. Returns the number of
/// mails about the failure.
async fn killed(at: &str) -> usize {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let (url, crash) = (smtp.url(), [("LEADLINE_CRASH_AT", at)]);
    let args = ["--smtp-url", &url, "--notice-window", "0s"];
    let world = World::start_with(&args, &crash).await;
    add_recipient(&world).await;
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let status = world.process.wait_exit(SOON).await;
    assert!(!status.success() && world.process.output().contains("aborting"), "{at}: {}", world.process.output());

    let world = world.again(&args).await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    wait::until_eq("the log entry", SOON, 1, async || notices_in_the_log(&world, "e1").await).await;
    // Later failures are reported, too.
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Failed).await;
    wait::until_eq("the log entry of the other event", SOON, 1, async || notices_in_the_log(&world, "e2").await).await;
    let mails = smtp.mails();
    let sent: HashSet<_> = mails.iter().map(|mail| (mail.to.clone(), header(&mail.raw, "Message-ID"))).collect();
    assert_eq!(sent.len(), 4, "{at}: {sent:?}");
    assert_eq!(sent.iter().map(|(_, id)| id).collect::<HashSet<_>>().len(), 4, "{at}: {sent:?}");
    assert_eq!(notices_in_the_log(&world, "e1").await, 1, "{at}");
    mails.len() - 2
}

async fn notices_in_the_log(world: &World, event: &str) -> usize {
    world.log(event).await.iter().filter(|(entry, _)| entry == "errornotice").count()
}

#[tokio::test]
async fn before_and_after_a_notice_is_requested() {
    assert_eq!(killed("before notices are called for").await, 2);
    assert_eq!(killed("after notices are called for").await, 2);
}

#[tokio::test]
async fn between_a_mail_and_its_recording() {
    // It is unknown whether this mail was sent.
    assert!((2..=3).contains(&killed("after a mail is sent").await));
    assert_eq!(killed("after a recipient is recorded").await, 2);
    assert_eq!(killed("after a notice is stored").await, 2);
}

#[tokio::test]
async fn collected_failures_survive_a_kill() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let url = smtp.url();
    let args = ["--smtp-url", &url, "--notice-window", "8s"];
    let world = World::start_with(&args, &[]).await;
    receiver.answer(Answer::Status(503));
    world.destination(&receiver.url()).await;
    for event in ["e1", "e2", "e3"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Failed).await;
    }
    wait::until_eq("the first mail", SOON, 1, async || smtp.mails().len()).await;
    world.process.kill();
    let _world = world.again(&args).await;
    wait::until_eq("the mail about the others", SOON, 2, async || smtp.mails().len()).await;
    let texts: Vec<_> = smtp.mails().iter().map(|mail| bodies(&mail.raw).0).collect();
    assert_eq!(texts.iter().filter_map(|text| count_of_further(text)).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn several_notifiers_send_each_mail_once_and_take_over() {
    let (broker, smtp) = (NatsServer::start().await, SmtpSink::start().await);
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let (home, url) = (Home::new(), smtp.url());
    let process = home.up(&["--nats-url", &broker.url(), "--smtp-url", &url], &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    let args = ["notifier", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--smtp-url", &url];
    let other = Process::start("notifier", program(), args, [("LEADLINE_NATS_URL", broker.url())]);
    other.wait_line("is ready:", SOON).await;
    for receiver in &receivers {
        receiver.answer(Answer::Status(500));
        world.destination(&receiver.url()).await;
    }
    world.publish_many(20).await;
    wait::until_eq("a first mail and an alert for each", SOON, 6, async || smtp.mails().len()).await;
    // One of the two has the lease, and the other one takes it over.
    other.kill();
    for receiver in &receivers {
        receiver.answer(Answer::Status(200));
    }
    world.publish("works-again").await;
    wait::until_eq("a recovery for each", SOON, 9, async || smtp.mails().len()).await;
    let ids: HashSet<_> = smtp.mails().iter().map(|mail| header(&mail.raw, "Message-ID")).collect();
    assert_eq!(ids.len(), 9, "{:?}", subjects(&smtp));
}

#[tokio::test]
async fn undeliverable_mail_is_given_up_and_logged() {
    let url = format!("smtp://127.0.0.1:{}", free_port());
    let receiver = Receiver::start().await;
    let world = World::start_with(&["--smtp-url", &url, "--mail-retry-for", "1s"], &[]).await;
    receiver.answer(Answer::Status(500));
    world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let entry = wait::until("the log entry", SOON, async || {
        world.log("e1").await.into_iter().find(|(entry, _)| entry == "errornotice")
    })
    .await;
    assert!(entry.1.contains("given up") && entry.1.contains(OWNER), "{entry:?}");
    assert!(world.process.output().contains("cannot send notice"), "it was tried before");
}

#[tokio::test]
async fn temporarily_refused_recipient_does_not_delay_others() {
    let smtp = SmtpSink::start().await;
    let (world, receiver) = (world_with(&smtp, &[]).await, Receiver::start().await);
    add_recipient(&world).await;
    smtp.refuse_next(1, "451 not now");
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until_eq("both mails", SOON, 2, async || smtp.mails().len()).await;
    let recipients: Vec<_> = smtp.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(recipients, [OTHER, OWNER]);
}
