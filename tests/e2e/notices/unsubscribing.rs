//! Opt-outs: people can end mails of a kind.

use api::{DeliveryStatus, registry_service_client::RegistryServiceClient};
use testkit::{Answer, Receiver, SmtpSink, wait};
use tonic::Code;

use super::{bodies, header, subjects};
use crate::world::{ACCOUNT, API_USER, OWNER, SOON, World, web};

const PUBLIC: &str = "https://leads.example/leadline";

async fn opt_outs(world: &World) -> Vec<api::OptOut> {
    let request = api::ListOptOutsRequest { account_id: ACCOUNT.into(), ..api::ListOptOutsRequest::default() };
    world.registry().list_opt_outs(request).await.unwrap().into_inner().opt_outs
}

/// The path of a mail's unsubscribe link on the server.
fn link_in(mail: &str) -> String {
    let listed = header(mail, "List-Unsubscribe");
    let url = listed.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap();
    let (text, html) = bodies(mail);
    assert!(text.contains(url) && html.contains(url), "{text}");
    assert_eq!(header(mail, "List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    url.strip_prefix(PUBLIC).unwrap().to_owned()
}

#[tokio::test]
async fn one_click_unsubscribes_and_only_the_person_can_undo_it() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let url = smtp.url();
    let args = ["--smtp-url", &url, "--public-url", PUBLIC, "--notice-window", "0s", "--alert-after", "2"];
    let world = World::start_with(&args, &[]).await;
    let account = api::Account {
        account_id: ACCOUNT.into(),
        notification_emails: vec![OWNER.into(), API_USER.into(), OWNER.to_uppercase()],
        ..api::Account::default()
    };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["notification_emails".into()] });
    let request = api::UpdateAccountRequest { account: Some(account), update_mask };
    world.registry().update_account(request).await.unwrap();
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until_eq("one mail for each person", SOON, 2, async || smtp.mails().len()).await;
    let mail = smtp.mails().into_iter().find(|mail| mail.to == [OWNER]).unwrap();
    let link = format!("{}{}", world.http, link_in(&mail.raw));

    // Opening the page changes nothing.
    let page = web().get(&link).send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.headers()["cache-control"].to_str().unwrap()), (200, "no-store"));
    let page = page.text().await.unwrap();
    assert!(page.contains("<form method=\"post\">") && page.contains(OWNER) && page.contains("Acme Cloud"), "{page}");
    assert_eq!(opt_outs(&world).await, []);
    // RFC 8058: no cookie, no login, no redirect. A repeat changes nothing.
    for _ in 0..2 {
        let answer = web().post(&link).body("List-Unsubscribe=One-Click").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }
    let known = wait::until("the opt-out", SOON, async || opt_outs(&world).await.pop()).await;
    assert_eq!((&*known.email, &*known.kind, opt_outs(&world).await.len()), (OWNER, "error", 1));
    let audit =
        api::ListAuditLogRequest { account_id: ACCOUNT.into(), entity_kind: "opt_out".into(), ..Default::default() };
    let audit = wait::until("the audit log", SOON, async || {
        world.audit().list_audit_log(audit.clone()).await.unwrap().into_inner().entries.pop()
    })
    .await;
    assert_eq!((&*audit.entity_id, &*audit.action, &*audit.by), (&*known.opt_out_id, "created", "unsubscribe link"));

    // The person still gets mails of other kinds, and others get mails of this kind.
    world.publish("e2").await;
    wait::until_eq("one mail more of this kind, and two of another", SOON, 5, async || smtp.mails().len()).await;
    let to_owner: Vec<_> = smtp.mails().into_iter().filter(|mail| mail.to == [OWNER]).collect();
    let subjects_of_mails: Vec<_> = to_owner.iter().map(|mail| header(&mail.raw, "Subject")).collect();
    assert_eq!(
        subjects_of_mails,
        ["Acme Cloud Webhook Error Notice: CRM (500)", "Acme Cloud Webhook Keeps Failing: CRM (500)"]
    );

    // A key of the account cannot delete the opt-out; the person can, with a button on the page.
    let request = api::DeleteOptOutRequest { account_id: ACCOUNT.into(), opt_out_id: known.opt_out_id };
    let (key, _) = world.new_key(ACCOUNT, &[api::Scope::Admin]).await;
    let mut tenant = RegistryServiceClient::new(world.called_with(&key).await);
    assert_eq!(tenant.delete_opt_out(request.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(opt_outs(&world).await.len(), 1);
    let page = web().get(&link).send().await.unwrap().text().await.unwrap();
    let path = page.split_once("action=\"").unwrap().1.split_once('"').unwrap().0;
    let again = format!("{}/unsubscribe/{path}", world.http);
    for _ in 0..2 {
        assert_eq!(web().post(&again).send().await.unwrap().status().as_u16(), 200);
    }
    assert_eq!(opt_outs(&world).await, []);
    assert_eq!(web().post(&link).send().await.unwrap().status().as_u16(), 200);
    wait::until_eq("the opt-out again", SOON, 1, async || opt_outs(&world).await.len()).await;
    world.registry().delete_opt_out(request.clone()).await.unwrap();
    assert_eq!(world.registry().delete_opt_out(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(opt_outs(&world).await, []);
    world.publish("e3").await;
    world.delivery_is("e3", DeliveryStatus::Failed).await;
    wait::until_eq("a mail for each again", SOON, 7, async || smtp.mails().len()).await;
    assert_eq!(smtp.mails().iter().filter(|mail| mail.to == [OWNER]).count(), 3, "{:?}", subjects(&smtp));
}

#[tokio::test]
async fn forged_unsubscribe_links_are_refused() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let url = smtp.url();
    let world = World::start_with(&["--smtp-url", &url, "--public-url", PUBLIC], &[]).await;
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until_eq("a mail", SOON, 1, async || smtp.mails().len()).await;
    let link = link_in(&smtp.mails()[0].raw);
    let (start, last) = link.split_at(link.len() - 1);
    let changed = format!("{start}{}", if last == "A" { 'B' } else { 'A' });
    for path in [changed, link[..link.len() - 8].to_owned(), "/unsubscribe/acme".to_owned()] {
        for request in [web().get(format!("{}{path}", world.http)), web().post(format!("{}{path}", world.http))] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 404, "{path}");
            assert!(answer.text().await.unwrap().contains("Copy the whole link"));
        }
    }
    assert_eq!(opt_outs(&world).await, []);
    // Once the account is deleted, there is nothing to unsubscribe from.
    let request = api::DeleteAccountRequest { account_id: ACCOUNT.into() };
    world.registry().delete_account(request).await.unwrap();
    let answer = web().post(format!("{}{link}", world.http)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 410);
}
