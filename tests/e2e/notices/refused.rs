//! A mail server that refuses: refusals for all recipients wait for the operator, quotas are tried a few times a
//! minute, and a full mailbox stops no other mail.

use serde_json::Value;
use testkit::{Answer, Receiver, SmtpSink, Step, wait};

use super::{header, world_with};
use crate::world::{ACCOUNT, INTERFACE, OWNER, SOON, World, web};

/// The status of `/readyz`, and its state of mails.
async fn readiness(world: &World) -> (u16, String) {
    let answer = web().get(format!("{}/readyz", world.http)).send().await.unwrap();
    let (status, body) = (answer.status().as_u16(), answer.text().await.unwrap());
    let parts: Value = serde_json::from_str(&body).unwrap_or_default();
    (status, parts["mail"].as_str().unwrap_or(&body).to_owned())
}

async fn notify(world: &World, emails: &[&str]) {
    let interface = api::Interface {
        account_id: ACCOUNT.into(),
        interface_id: INTERFACE.into(),
        lead_notification_emails: emails.iter().map(|&email| email.to_owned()).collect(),
        ..api::Interface::default()
    };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["lead_notification_emails".into()] });
    let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
    world.registry().update_interface(request).await.unwrap();
}

#[tokio::test]
async fn only_refused_senders_wait_for_the_operator() {
    let smtp = SmtpSink::start().await;
    let world = world_with(&smtp, &["--notice-window", "0s", "--mail-from", "Leads <leads@shop.example>"]).await;
    notify(&world, &[OWNER]).await;
    let cases = [
        (Step::Recipient, "550 5.4.5 Daily sending limit exceeded"),
        (Step::Greeting, "554 5.7.1 block list"),
        (Step::Hello, "501 5.5.4 Invalid domain name"),
        (Step::Sender, "553 5.7.1 not owned by user"),
        (Step::Data, "554 5.7.1 Relay access denied"),
    ];
    for (n, (step, answer)) in cases.into_iter().enumerate() {
        smtp.refuse_at(step, answer);
        world.publish(&format!("case-{n}")).await;
        wait::until(answer, SOON, async || world.process.output().contains(answer)).await;
        // Until the first accepted mail, a refusal counts for all recipients. Later it may concern one recipient only.
        if step != Step::Data {
            let codes = answer.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            wait::until("the code in readyz", SOON, async || readiness(&world).await.1.contains(&codes)).await;
        }
        smtp.accept();
        wait::until_eq("the mail", SOON, n + 1, async || smtp.mails().len()).await;
        wait::until_eq("readiness", SOON, (200, "ready".to_owned()), async || readiness(&world).await).await;
    }
    assert!(smtp.hellos().iter().all(|name| name == "shop.example"), "{:?}", smtp.hellos());
    let ids: Vec<_> = smtp.mails().iter().map(|mail| header(&mail.raw, "Message-ID")).collect();
    assert!(ids.iter().all(|id| id.ends_with("@shop.example>")), "{ids:?}");

    smtp.refuse_at(Step::Recipient, "550 5.1.1 no such user");
    world.publish("gone").await;
    let given_up = "gave up notice";
    wait::until(given_up, SOON, async || world.process.output().contains(given_up)).await;
    assert_eq!(readiness(&world).await, (200, "ready".to_owned()));
    assert_eq!(smtp.mails().len(), cases.len());
}

#[tokio::test]
async fn exceeded_mail_quota_is_retried_slowly() {
    const TAKEN: usize = 20;
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let world = world_with(&smtp, &["--notice-window", "0s"]).await;
    notify(&world, &["a@x.example", "b@x.example", "c@x.example", "d@x.example"]).await;
    smtp.take_only(TAKEN, "450 4.7.0 quota");
    world.publish_many(200).await;
    let refused = || smtp.tries().len() - smtp.mails().len();
    wait::until("the quota to be used up", SOON, async || refused() >= 3).await;
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("fails").await;
    let is_tried = async || smtp.tries().iter().any(|to| to == OWNER);
    wait::until("the failure notice to be tried", SOON, is_tried).await;
    // Without pauses there were 50 tries per second.
    assert!(refused() <= 15, "{} tries", refused());
    smtp.accept();
    wait::until("the failure notice", SOON, async || smtp.mails().iter().any(|mail| mail.to == [OWNER])).await;
}

#[tokio::test]
async fn full_mailbox_does_not_stop_other_mails() {
    const FULL: &str = "full@x.example";
    let smtp = SmtpSink::start().await;
    let world = world_with(&smtp, &["--notice-window", "0s"]).await;
    notify(&world, &[FULL, OWNER]).await;
    smtp.refuse_recipient(FULL, "452 4.2.2 mailbox full");
    world.publish_many(20).await;
    wait::until_eq("the mails to the other", SOON, 20, async || smtp.mails().len()).await;
    let tries = || smtp.tries().iter().filter(|to| *to == FULL).count();
    wait::until("another try", SOON, async || tries() >= 2).await;
    assert!(tries() <= 6, "one pause for the mailbox, not one for each mail: {} tries", tries());
    assert_eq!(readiness(&world).await, (200, "ready".to_owned()));
    smtp.accept();
    wait::until_eq("all mails", SOON, 40, async || smtp.mails().len()).await;
}

#[tokio::test]
async fn outbox_accepts_the_longest_address() {
    let world = World::start_with(&["--notice-window", "0s"], &[]).await;
    let long = format!("{}@{}.example", "o".repeat(64), vec!["a".repeat(59); 3].join("."));
    assert!(long.len() > 250);
    notify(&world, &[&long, OWNER]).await;
    world.publish("e1").await;
    wait::until_eq("two files", SOON, 2, async || world.home.outbox().len()).await;
    assert_eq!(readiness(&world).await, (200, "ready".to_owned()));
}
