//! What an account cannot do with mails: write to strangers, flood people, and undo their decisions.

use std::time::Duration;

use access::AuthChannel;
use api::{DeliveryStatus, registry_service_client::RegistryServiceClient};
use testkit::{Answer, Receiver, SmtpSink, wait};
use tonic::Code;

use super::{bodies, header, world_with};
use crate::world::{ACCOUNT, INTERFACE, OWNER, SOON, World, web};

const PUBLIC: &str = "https://leads.example/leadline";
const STRANGER: &str = "stranger@x.example";
const QUESTION: &str = "Leadline Please Confirm Your Address";

type Registry = RegistryServiceClient<AuthChannel>;

/// The registry, called with a key of the account.
async fn as_account(world: &World, account: &str) -> Registry {
    let (key, _) = world.new_key(account, &[api::Scope::Admin]).await;
    RegistryServiceClient::new(world.called_with(&key).await)
}

async fn lead_mails_to(registry: &mut Registry, account: &str, emails: &[&str]) -> api::Interface {
    let interface = api::Interface {
        account_id: account.into(),
        interface_id: INTERFACE.into(),
        lead_notification_emails: emails.iter().map(|&email| email.to_owned()).collect(),
        ..api::Interface::default()
    };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["lead_notification_emails".into()] });
    let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
    registry.update_interface(request).await.unwrap().into_inner()
}

/// The subjects of the mails to a person, the oldest first.
fn subjects_to(smtp: &SmtpSink, person: &str) -> Vec<String> {
    let mails = smtp.mails().into_iter().filter(|mail| mail.to == [person]);
    mails.map(|mail| header(&mail.raw, "Subject")).collect()
}

/// Waits until the log has a line at least `times` times, written or counted as a repetition.
async fn times_in_log(world: &World, words: &str, times: usize) {
    let count_of = |line: &str| match line.rsplit_once(" count=") {
        Some((before, count)) if before.contains("suppressed repeated lines") => count.trim().parse().unwrap(),
        _ => 1_usize,
    };
    wait::until(words, SOON, async || {
        let output = world.process.output();
        output.lines().filter(|line| line.contains(words)).map(count_of).sum::<usize>() >= times
    })
    .await;
}

#[tokio::test]
async fn unconfirmed_address_gets_only_one_confirmation_mail() {
    let smtp = SmtpSink::start().await;
    let world = world_with(&smtp, &["--public-url", PUBLIC, "--notice-window", "0s"]).await;
    let trusted = lead_mails_to(&mut world.registry(), ACCOUNT, &[OWNER]).await;
    assert_eq!(trusted.unconfirmed_emails, Vec::<String>::new(), "a platform-wide key vouches for what it sets");
    let mut tenant = as_account(&world, ACCOUNT).await;
    let set = lead_mails_to(&mut tenant, ACCOUNT, &[OWNER, STRANGER]).await;
    assert_eq!(set.unconfirmed_emails, [STRANGER]);
    wait::until_eq("the confirmation mail", SOON, vec![QUESTION.to_owned()], async || subjects_to(&smtp, STRANGER))
        .await;
    world.publish_many(5).await;
    wait::until_eq("the mails to the other", SOON, 5, async || subjects_to(&smtp, OWNER).len()).await;
    lead_mails_to(&mut tenant, ACCOUNT, &[OWNER]).await;
    lead_mails_to(&mut tenant, ACCOUNT, &[OWNER, STRANGER]).await;
    times_in_log(&world, "skipped the confirmation mail", 1).await;
    assert_eq!(subjects_to(&smtp, STRANGER), [QUESTION]);

    let question = smtp.mails().into_iter().find(|mail| mail.to == [STRANGER]).unwrap();
    let (text, html) = bodies(&question.raw);
    assert!(!html.contains("Acme Cloud"), "the mail contains no text of the account: {html}");
    let url = text.split_whitespace().find(|word| word.starts_with(&format!("{PUBLIC}/confirm/"))).unwrap();
    let link = format!("{}{}", world.http, url.strip_prefix(PUBLIC).unwrap());
    let page = web().get(&link).send().await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    assert!(page.text().await.unwrap().contains("<form method=\"post\">"));
    let wait_for = || api::GetInterfaceRequest { account_id: ACCOUNT.into(), interface_id: INTERFACE.into() };
    let waiting = tenant.get_interface(wait_for()).await.unwrap().into_inner();
    assert_eq!(waiting.unconfirmed_emails, [STRANGER], "opening the link changes nothing");
    let forged = format!("{}A", &link[..link.len() - 1]);
    assert_eq!(web().post(forged).send().await.unwrap().status().as_u16(), 404);
    for _ in 0..2 {
        assert_eq!(web().post(&link).send().await.unwrap().status().as_u16(), 200);
    }
    let agreed = tenant.get_interface(wait_for()).await.unwrap().into_inner();
    assert_eq!(agreed.unconfirmed_emails, Vec::<String>::new());
    world.publish("after").await;
    wait::until_eq("a mail about a lead", SOON, 2, async || subjects_to(&smtp, STRANGER).len()).await;
    assert_eq!(subjects_to(&smtp, STRANGER)[1], "Acme Cloud New Lead: Form");
}

#[tokio::test]
async fn without_a_public_url_the_confirmation_mail_has_a_code() {
    let world = World::start().await;
    let mut tenant = as_account(&world, ACCOUNT).await;
    let user = |id: &str, email: &str| api::CreateApiUserRequest {
        api_user: Some(api::ApiUser {
            account_id: ACCOUNT.into(),
            api_user_id: id.into(),
            email: email.into(),
            role: "operator".into(),
            ..api::ApiUser::default()
        }),
    };
    let trusted = world.registry().create_api_user(user("one", "one@x.example")).await.unwrap().into_inner();
    assert_eq!(trusted.unconfirmed_emails, Vec::<String>::new());
    let set = tenant.create_api_user(user("two", STRANGER)).await.unwrap().into_inner();
    assert_eq!(set.unconfirmed_emails, [STRANGER]);
    // The update changes only the name.
    let renamed = api::ApiUser { name: "Two".into(), ..set };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".into()] });
    let request = api::UpdateApiUserRequest { api_user: Some(renamed), update_mask };
    let renamed = world.registry().update_api_user(request).await.unwrap().into_inner();
    assert_eq!(renamed.unconfirmed_emails, [STRANGER]);

    let mail = wait::until("the confirmation mail", SOON, async || world.home.outbox().pop()).await;
    assert_eq!((header(&mail, "To").as_str(), header(&mail, "Subject").as_str()), (STRANGER, QUESTION));
    let command = bodies(&mail).0.split_once("leadline accounts confirm acme ").unwrap().1.to_owned();
    let code = command.split_whitespace().next().unwrap().to_owned();
    let confirm = |code: String| api::ConfirmEmailRequest { account_id: ACCOUNT.into(), code };
    let refused = tenant.confirm_email(confirm(code[1..].to_owned())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("code"), "{refused}");
    assert_eq!(tenant.confirm_email(confirm(code.clone())).await.unwrap().into_inner().email, STRANGER);
    assert_eq!(tenant.confirm_email(confirm(code)).await.unwrap_err().code(), Code::AlreadyExists);
    let request = api::GetApiUserRequest { account_id: ACCOUNT.into(), api_user_id: "two".into() };
    assert_eq!(tenant.get_api_user(request).await.unwrap().into_inner().unconfirmed_emails, Vec::<String>::new());
    assert_eq!(world.home.outbox().len(), 1);
}

#[tokio::test]
async fn address_gets_at_most_three_confirmation_mails_a_day() {
    let smtp = SmtpSink::start().await;
    let world = world_with(&smtp, &[]).await;
    for account in ["one", "two", "three", "four", "five"] {
        let made = api::Account { account_id: account.into(), ..api::Account::default() };
        world.registry().create_account(api::CreateAccountRequest { account: Some(made) }).await.unwrap();
        let mut tenant = as_account(&world, account).await;
        let set = api::Account {
            account_id: account.into(),
            notification_emails: vec![STRANGER.to_uppercase()],
            ..api::Account::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["notification_emails".into()] });
        let request = api::UpdateAccountRequest { account: Some(set), update_mask };
        let set = tenant.update_account(request).await.unwrap().into_inner();
        assert_eq!(set.unconfirmed_emails, [STRANGER]);
    }
    times_in_log(&world, "the owner was asked 3 times within the last 24 hours", 2).await;
    assert_eq!(smtp.mails().len(), 3);
}

#[tokio::test]
async fn further_leads_are_mailed_in_a_digest() {
    const LEADS: usize = 120;
    let smtp = SmtpSink::start().await;
    let world = world_with(&smtp, &["--notice-window", "3s"]).await;
    lead_mails_to(&mut world.registry(), ACCOUNT, &[OWNER]).await;
    world.publish_many(LEADS).await;
    let texts = wait::until("all leads to be reported", SOON, async || {
        let texts: Vec<_> = smtp.mails().iter().map(|mail| bodies(&mail.raw).0).collect();
        let reported: usize = texts.iter().map(|text| reported_in(text)).sum();
        if reported == LEADS { Ok(texts) } else { Err(format!("{reported} leads are reported")) }
    })
    .await;
    assert!(texts.len() <= 4, "{texts:?}");
    let subjects = subjects_to(&smtp, OWNER);
    assert_eq!(subjects[0], "Acme Cloud New Lead: Form");
    assert!(subjects[1].starts_with("Acme Cloud New Leads: Form ("), "{subjects:?}");
    let digest = &texts[1];
    let listed = digest.lines().filter(|line| line.starts_with("* ") && line.contains("lead-e")).count();
    assert!(listed == 50 && digest.contains("more are not listed here"), "{digest}");
}

fn reported_in(text: &str) -> usize {
    match text.split_once(" more leads came in.") {
        Some((count, _)) => count.parse().unwrap(),
        None => 1,
    }
}

#[tokio::test]
async fn mails_over_a_quota_are_counted_and_failures_come_first() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let world = world_with(&smtp, &["--notice-window", "0s", "--mails-per-recipient", "8"]).await;
    lead_mails_to(&mut world.registry(), ACCOUNT, &[OWNER]).await;
    world.publish_many(20).await;
    times_in_log(&world, "the quota of 8 mails an hour to one recipient is used up", 14).await;
    wait::until_eq("six mails", SOON, vec!["Acme Cloud New Lead: Form".to_owned(); 6], async || {
        subjects_to(&smtp, OWNER)
    })
    .await;
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("fails").await;
    wait::until_eq("the failure notice", SOON, 7, async || smtp.mails().len()).await;
    let mail = smtp.mails().pop().unwrap();
    assert_eq!(header(&mail.raw, "Subject"), "Acme Cloud Webhook Error Notice: CRM (500)");
    let text = bodies(&mail.raw).0;
    assert!(text.contains("14 mails to you were left out") || text.contains("15 mails to you were left out"), "{text}");
    world.delivery_is("fails", DeliveryStatus::Failed).await;
}

#[tokio::test]
async fn cost_per_lead_mail_is_constant() {
    const LEADS: usize = 400;
    const A_WHILE: Duration = Duration::from_secs(120);
    let smtp = SmtpSink::start().await;
    let url = smtp.url();
    let args = ["--smtp-url", &url, "--notice-window", "0s", "--mails-per-account", "0", "--mails-per-recipient", "0"];
    let world = World::start_with(&args, &[("RUST_LOG", "info,notifier=debug")]).await;
    lead_mails_to(&mut world.registry(), ACCOUNT, &[OWNER, "sales@acme.example"]).await;
    world.publish_many(LEADS).await;
    wait::until_eq("all mails", A_WHILE, 2 * LEADS, async || smtp.mails().len()).await;
    assert_eq!(smtp.tries().len(), 2 * LEADS, "each mail is tried once");
    let looked_up = world.process.output().matches("read earlier notices").count();
    assert!(looked_up <= LEADS / 4, "{looked_up} of {LEADS} notices were looked up");
    assert!(smtp.sessions() <= 8, "{} connections", smtp.sessions());
}
