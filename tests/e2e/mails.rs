//! Telling people.

use testkit::{Answer, Receiver, SmtpSink, free_port, wait};
use wire::api::{self, DeliveryStatus};

use crate::world::{ACCOUNT, OWNER, SOON, World, some_destination};

async fn a_failure(world: &World, receiver: &Receiver) {
    receiver.answer(Answer::With(422, vec![], "unknown field: phone".into()));
    world.destination_with(api::Destination { url: receiver.url(), name: "CRM".into(), ..some_destination() }).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
}

fn header(mail: &str, name: &str) -> String {
    let (headers, _) = mailparse::parse_headers(mail.as_bytes()).unwrap();
    mailparse::MailHeaderMap::get_first_value(&headers[..], name).unwrap_or_default()
}

/// What a mail says, as text and as HTML.
fn bodies(mail: &str) -> (String, String) {
    let mail = mailparse::parse_mail(mail.as_bytes()).unwrap();
    assert_eq!(mail.ctype.mimetype, "multipart/alternative");
    let [text, html] = &mail.subparts[..] else { panic!("text and HTML: {mail:?}") };
    (text.get_body().unwrap(), html.get_body().unwrap())
}

fn text(mail: &str) -> String {
    bodies(mail).0
}

#[tokio::test]
async fn a_failure_becomes_one_mail_and_a_line_in_the_log() {
    let (world, receiver, smtp) = {
        let smtp = SmtpSink::start().await;
        let args = ["--smtp-url", &smtp.url(), "--notice-window", "0s"];
        (World::start_with(&args, &[]).await, Receiver::start().await, smtp)
    };
    a_failure(&world, &receiver).await;
    wait::until_eq("a mail", SOON, 1, async || smtp.mails().len()).await;
    let mail = smtp.mails().remove(0);
    assert_eq!((mail.from.as_str(), &mail.to[..]), ("leadline@localhost", &[OWNER.to_owned()][..]));
    assert_eq!(header(&mail.raw, "Subject"), "Acme Cloud Webhook Error Notice");
    let body = text(&mail.raw);
    let delivery = world.delivery("e1").await.delivery.unwrap();
    for part in ["lead-e1", "CRM", &receiver.url(), "422", "unknown field: phone", &delivery.delivery_id] {
        assert!(body.contains(part), "{part:?} is missing in:\n{body}");
    }
    assert!(body.contains(&delivery.suggested_action), "{body}");
    let log = wait::until("a line in the log", SOON, async || {
        world.log("e1").await.into_iter().find(|(entry, _)| entry == "errornotice")
    })
    .await;
    assert!(log.1.contains(OWNER) && log.1.contains("Webhook Error Notice"), "{log:?}");

    // Without a window, a retry that fails again is another failure.
    world.retry("e1").await.unwrap();
    wait::until_eq("a second mail", SOON, 2, async || smtp.mails().len()).await;
    let ids: Vec<_> = smtp.mails().iter().map(|mail| header(&mail.raw, "Message-ID")).collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn while_the_mail_server_is_away_or_refuses_for_now_the_mail_waits() {
    let port = free_port();
    let url = format!("smtp://127.0.0.1:{port}");
    let (world, receiver) = (World::start_with(&["--smtp-url", &url], &[]).await, Receiver::start().await);
    a_failure(&world, &receiver).await;
    wait::until("trouble to be seen", SOON, async || world.process.output().contains("a notice waits")).await;
    let smtp = SmtpSink::start_on(port).await;
    smtp.refuse_next(1, "451 not now");
    wait::until_eq("a mail", SOON, 1, async || smtp.mails().len()).await;
}

#[tokio::test]
async fn without_a_mail_server_mails_are_files() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    a_failure(&world, &receiver).await;
    let mail = wait::until("a file", SOON, async || world.home.outbox().pop()).await;
    assert_eq!(header(&mail, "Subject"), "Acme Cloud Webhook Error Notice");
    assert_eq!(header(&mail, "To"), OWNER);
}

#[tokio::test]
async fn an_address_that_is_refused_keeps_nobody_else_from_being_told() {
    let smtp = SmtpSink::start().await;
    let (world, receiver) = (World::start_with(&["--smtp-url", &smtp.url()], &[]).await, Receiver::start().await);
    let account = api::Account {
        account_id: ACCOUNT.into(),
        notification_emails: vec!["gone@acme.example".into(), OWNER.into()],
        ..api::Account::default()
    };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["notification_emails".into()] });
    let request = api::UpdateAccountRequest { account: Some(account), update_mask };
    world.registry().update_account(request).await.unwrap();
    smtp.refuse_next(1, "550 no such user");
    a_failure(&world, &receiver).await;
    wait::until_eq("the other mail", SOON, 1, async || smtp.mails().len()).await;
    assert_eq!(smtp.mails()[0].to, [OWNER]);
    wait::until("a line in the log", SOON, async || {
        world.log("e1").await.iter().any(|(entry, _)| entry == "errornotice")
    })
    .await;
    assert_eq!(smtp.mails().len(), 1);
}
