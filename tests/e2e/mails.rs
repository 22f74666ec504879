//! Notices by mail.

use api::DeliveryStatus;
use testkit::{Answer, Receiver, SmtpSink, free_port, wait};

use crate::world::{ACCOUNT, OWNER, SOON, World, some_destination, web};

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

/// The text and the HTML of a mail.
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
async fn failure_causes_one_mail_and_a_log_entry() {
    let (world, receiver, smtp) = {
        let smtp = SmtpSink::start().await;
        let args = ["--smtp-url", &smtp.url(), "--notice-window", "0s"];
        (World::start_with(&args, &[]).await, Receiver::start().await, smtp)
    };
    a_failure(&world, &receiver).await;
    wait::until_eq("a mail", SOON, 1, async || smtp.mails().len()).await;
    let mail = smtp.mails().remove(0);
    assert_eq!((mail.from.as_str(), &mail.to[..]), ("leadline@localhost", &[OWNER.to_owned()][..]));
    assert_eq!(header(&mail.raw, "Subject"), "Acme Cloud Webhook Error Notice: CRM (422)");
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
async fn mail_has_a_status_link_and_a_retry_command() {
    const PUBLIC: &str = "https://leads.example/leadline";
    let (world, receiver) = (World::start_with(&["--public-url", PUBLIC], &[]).await, Receiver::start().await);
    a_failure(&world, &receiver).await;
    let mail = wait::until("a mail", SOON, async || world.home.outbox().pop()).await;
    let (text, html) = bodies(&mail);
    let url = text.lines().find_map(|line| line.strip_prefix("See the current state: ")).unwrap();
    assert!(html.contains(url), "{html}");
    let destination = world.delivery("e1").await.delivery.unwrap().destination_id;
    let console = format!("{PUBLIC}/console/?account={ACCOUNT}&destination={destination}");
    assert!(text.contains(&format!("Open in the console: {console}")), "{text}");
    let link = format!("{}{}", world.http, url.strip_prefix(PUBLIC).unwrap());
    let page = async || {
        let answer = web().get(&link).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
        answer.text().await.unwrap()
    };
    let shown = page().await;
    let id = world.delivery("e1").await.delivery.unwrap().delivery_id;
    let command = format!("leadline retry {id} --account {ACCOUNT}");
    for part in ["Acme Cloud", "CRM", "enabled", &command, &console.replace('&', "&amp;")] {
        assert!(shown.contains(part), "{part:?} is missing in {shown}");
    }
    world.run(&["destinations", "disable", "CRM"]).await.well();
    assert!(page().await.contains("disabled by a person"));
    world.run(&["destinations", "enable", "CRM"]).await.well();
    let broken = format!("{}x", &link[..link.len() - 1]);
    assert_eq!(web().get(broken).send().await.unwrap().status().as_u16(), 404);

    // The command in the mail works.
    receiver.answer(Answer::Status(200));
    let line = text.lines().map(str::trim).find(|line| line.starts_with("leadline retry ")).unwrap();
    assert_eq!(line, command);
    world.run(&line.split(' ').skip(1).collect::<Vec<_>>()).await.well();
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn mails_wait_while_the_mail_server_is_unavailable() {
    let port = free_port();
    let url = format!("smtp://127.0.0.1:{port}");
    let (world, receiver) = (World::start_with(&["--smtp-url", &url], &[]).await, Receiver::start().await);
    a_failure(&world, &receiver).await;
    wait::until("the warning in the log", SOON, async || world.process.output().contains("cannot send notice")).await;
    let smtp = SmtpSink::start_on(port).await;
    smtp.refuse_next(1, "451 not now");
    wait::until_eq("a mail", SOON, 1, async || smtp.mails().len()).await;
}

#[tokio::test]
async fn without_a_mail_server_mails_are_files() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    a_failure(&world, &receiver).await;
    let mail = wait::until("a file", SOON, async || world.home.outbox().pop()).await;
    assert_eq!(header(&mail, "Subject"), "Acme Cloud Webhook Error Notice: CRM (422)");
    assert_eq!(header(&mail, "To"), OWNER);
}

#[tokio::test]
async fn refused_address_does_not_stop_other_mails() {
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
