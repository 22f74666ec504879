//! Leads and deliveries are found by values inside payloads. The read model holds keyed hashes of these values.

use std::{collections::HashMap, fs, process::Stdio};

use access::AuthChannel;
use api::{
    DeliveryStatus, JobStatus, Scope, SearchableField, SearchableKind, delivery_service_client::DeliveryServiceClient,
    job::Plan, lead_service_client::LeadServiceClient,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{Answer, Receiver, wait};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    anonymising::store_with,
    jobs::retries,
    world::{ACCOUNT, INTERFACE, SOON, World, program, read_json},
};

const ADA: (&str, &str) = ("email", "ada@example.com");

fn field(name: &str, path: &str, kind: SearchableKind) -> SearchableField {
    SearchableField { name: name.into(), path: path.into(), kind: kind.into() }
}

/// The fields of most tests.
fn fields() -> Vec<SearchableField> {
    vec![
        field("email", "payload.email", SearchableKind::Email),
        field("phone", "payload.contacts.phone", SearchableKind::Phone),
    ]
}

fn values(given: &[(&str, &str)]) -> HashMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn leads_by(channel: AuthChannel, account: &str, given: &[(&str, &str)]) -> Result<Vec<String>, Status> {
    let request = api::ListLeadsRequest {
        account_id: account.into(),
        r#where: values(given),
        ..api::ListLeadsRequest::default()
    };
    let found = LeadServiceClient::new(channel).list_leads(request).await?.into_inner();
    let mut leads: Vec<_> = found.leads.into_iter().map(|lead| lead.lead_id).collect();
    leads.sort();
    Ok(leads)
}

async fn deliveries_by(channel: AuthChannel, filter: api::DeliveryFilter) -> Result<Vec<String>, Status> {
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    let found = DeliveryServiceClient::new(channel).list_deliveries(request).await?.into_inner();
    let mut events: Vec<_> = found.deliveries.into_iter().map(|delivery| delivery.event_id).collect();
    events.sort();
    Ok(events)
}

fn filter(given: &[(&str, &str)]) -> api::DeliveryFilter {
    api::DeliveryFilter { account_id: ACCOUNT.into(), r#where: values(given), ..api::DeliveryFilter::default() }
}

impl World {
    async fn set_searchable(&self, fields: Vec<SearchableField>) -> Result<api::Interface, Status> {
        let interface = api::Interface {
            account_id: ACCOUNT.into(),
            interface_id: INTERFACE.into(),
            searchable_fields: fields,
            ..api::Interface::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["searchable_fields".into()] });
        let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
        Ok(self.registry().update_interface(request).await?.into_inner())
    }

    async fn publish_about(&self, event: &str, lead: &str, payload: Value) {
        self.publish_with(event, json!({"lead_id": lead, "payload": payload})).await;
    }

    async fn found(&self, given: &[(&str, &str)]) -> Vec<String> {
        leads_by(self.channel(), ACCOUNT, given).await.unwrap()
    }

    /// Waits until exactly these leads are found.
    async fn finds(&self, given: &[(&str, &str)], leads: &[&str]) {
        let leads: Vec<_> = leads.iter().map(|&lead| lead.to_owned()).collect();
        wait::until_eq(&format!("the leads with {given:?}"), SOON, leads, async || self.found(given).await).await;
    }

    fn database(&self) -> String {
        read_json(&self.home.data().join("addresses.json")).unwrap()["database"].as_str().unwrap().to_owned()
    }
}

fn rebuild(world: &World, key: Option<&str>) -> std::process::Output {
    let mut command = std::process::Command::new(program());
    command.args(["rebuild", "--nats-url", &world.nats, "--database-url", &world.database()]).stdin(Stdio::null());
    command.envs(key.map(|key| ("LEADLINE_MASTER_KEY", key))).output().unwrap()
}

#[tokio::test]
async fn leads_and_deliveries_are_found_by_values_inside_payloads() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        assert!(world.set_searchable(fields()).await.unwrap().warnings[0].contains("leadline rebuild"));
        let contacts = json!([{"phone": "+49 (0)170 1234567"}, {"phone": "0049 30 901820"}, {"phone": null}]);
        world.publish_about("e1", "ada", json!({"email": "Ada@Example.com ", "contacts": contacts})).await;
        world.publish_about("e2", "ada", json!({"opened": true})).await;
        world.publish_about("e3", "bob", json!({"email": "bob@example.com", "contacts": {"phone": 112}})).await;
        world.finds(&[("email", "bob@example.com")], &["bob"]).await;
        for (given, leads) in [
            (&[ADA][..], &["ada"][..]),
            (&[("email", "ADA@EXAMPLE.COM")], &["ada"]),
            (&[("phone", "+49 170 123-45-67")], &["ada"]),
            (&[("phone", "0049 (0)30 / 90 18 20")], &["ada"]),
            (&[("phone", "112")], &["bob"]),
            (&[ADA, ("phone", "+491701234567")], &["ada"]),
            (&[ADA, ("phone", "112")], &[]),
            (&[("email", "eve@example.com")], &[]),
        ] {
            assert_eq!(world.found(given).await, leads, "{given:?}");
        }
        // All deliveries of the lead, also those of events without the value.
        wait::until_eq("the deliveries", SOON, vec!["e1".to_owned(), "e2".to_owned()], async || {
            deliveries_by(world.channel(), filter(&[ADA])).await.unwrap()
        })
        .await;
        let of_event = api::DeliveryFilter { event_id: "e3".into(), ..filter(&[ADA]) };
        assert!(deliveries_by(world.channel(), of_event).await.unwrap().is_empty());
        let pages = api::ListDeliveriesRequest { filter: Some(filter(&[ADA])), page_size: 1, ..Default::default() };
        let first = world.deliveries().list_deliveries(pages.clone()).await.unwrap().into_inner();
        assert_eq!(first.deliveries[0].event_id, "e2");
        let next = api::ListDeliveriesRequest { page_token: first.next_page_token.clone(), ..pages };
        let second = world.deliveries().list_deliveries(next).await.unwrap().into_inner();
        assert_eq!((second.deliveries[0].event_id.as_str(), second.next_page_token.as_str()), ("e1", ""));
        let other = filter(&[("email", "bob@example.com")]);
        let other = api::ListDeliveriesRequest { filter: Some(other), page_token: first.next_page_token, page_size: 1 };
        assert_eq!(world.deliveries().list_deliveries(other).await.unwrap_err().code(), Code::InvalidArgument);
        let request =
            api::ExportLeadsRequest { account_id: ACCOUNT.into(), r#where: values(&[ADA]), ..Default::default() };
        let mut csv = world.leads().export_leads(request).await.unwrap().into_inner();
        let mut lines = vec![];
        while let Some(piece) = csv.message().await.unwrap() {
            lines.extend_from_slice(&piece.csv);
        }
        let lines = String::from_utf8(lines).unwrap();
        assert!(lines.contains(",ada,") && !lines.contains(",bob,"), "{lines}");
    }
}

#[tokio::test]
async fn read_model_holds_no_value_and_strangers_find_nothing() {
    let world = World::start().await;
    world.set_searchable(fields()).await.unwrap();
    for client in ["north", "south"] {
        world.client(client).await;
    }
    let other = api::Account { account_id: "other".into(), name: "Other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let form = api::Interface {
        account_id: "other".into(),
        interface_id: INTERFACE.into(),
        searchable_fields: fields(),
        ..api::Interface::default()
    };
    world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(form) }).await.unwrap();
    world.publish_with("e1", json!({"lead_id": "ada", "client": "north", "payload": {"email": ADA.1}})).await;
    // An event of another client adds a value to a lead of north.
    world.publish_with("e2", json!({"lead_id": "ada", "client": "south", "payload": {"email": "x@example.com"}})).await;
    world.publish_with("e3", json!({"account": "other", "lead_id": "eve", "payload": {"email": ADA.1}})).await;
    world.finds(&[("email", "x@example.com")], &["ada"]).await;
    wait::until_eq("the lead of the other account", SOON, Ok(vec!["eve".to_owned()]), async || {
        leads_by(world.channel(), "other", &[ADA]).await.map_err(|_| ())
    })
    .await;
    assert_eq!(world.found(&[ADA]).await, ["ada"]);

    let (stranger, _) = world.new_key("other", &[Scope::Read]).await;
    let stranger = world.called_with(&stranger).await;
    let refused = leads_by(stranger.clone(), ACCOUNT, &[ADA]).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = deliveries_by(stranger, filter(&[ADA])).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for (client, finds) in [("north", true), ("south", false)] {
        let request = api::CreateKeyRequest {
            account_id: ACCOUNT.into(),
            name: client.into(),
            client_id: client.into(),
            scopes: vec![Scope::Read.into()],
            ..api::CreateKeyRequest::default()
        };
        let key = world.access().create_key(request).await.unwrap().into_inner().secret;
        let channel = world.called_with(&key).await;
        assert_eq!(leads_by(channel.clone(), ACCOUNT, &[ADA]).await.unwrap().is_empty(), !finds, "{client}");
        // North cannot search the event of south, and south cannot search the lead of north.
        let said_by_south = leads_by(channel, ACCOUNT, &[("email", "x@example.com")]).await.unwrap();
        assert!(said_by_south.is_empty(), "{client}: {said_by_south:?}");
    }

    let names = fs::read_dir(world.home.data()).unwrap().flatten().map(|entry| entry.path());
    let names: Vec<_> = names.filter(|path| path.to_string_lossy().contains("leadline.db")).collect();
    assert!(!names.is_empty());
    for name in names {
        let bytes = fs::read(&name).unwrap();
        assert!(!bytes.windows(ADA.1.len()).any(|window| window == ADA.1.as_bytes()), "{}", name.display());
    }
}

#[tokio::test]
async fn an_anonymised_lead_is_not_found_and_a_rebuild_finds_the_same() {
    for world in World::on_both().await {
        world.set_searchable(fields()).await.unwrap();
        world.publish_about("e1", "ada", json!({"email": ADA.1, "contacts": {"phone": "0170 1"}})).await;
        world.publish_about("e2", "bob", json!({"email": "bob@example.com"})).await;
        world.publish_about("e3", "bob", json!({"email": "bob@example.com"})).await;
        // Ingest accepts only JSON, but a client of the broker may store anything.
        store_with(&world, "e4", "none", Timestamp::now(), "email: ada@example.com".to_owned()).await;
        world.finds(&[("email", "bob@example.com")], &["bob"]).await;
        world.finds(&[], &["ada", "bob", "none"]).await;
        world.finds(&[ADA], &["ada"]).await;
        for lead in ["ada", "bob"] {
            let lead_ids = vec![lead.to_owned()];
            let request = api::AnonymizeLeadsRequest { account_id: ACCOUNT.into(), lead_ids, ..Default::default() };
            world.leads().anonymize_leads(request).await.unwrap();
        }
        assert!(world.found(&[ADA]).await.is_empty());
        assert!(world.found(&[("phone", "0170 1")]).await.is_empty());
        // An event that is published after the anonymisation is found.
        world.publish_about("e5", "bob", json!({"email": "bob@example.com"})).await;
        world.finds(&[("email", "bob@example.com")], &["bob"]).await;

        let key = fs::read_to_string(world.home.data().join("master.key")).unwrap();
        let refused = rebuild(&world, None);
        assert!(!refused.status.success());
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains("--master-key") && text.contains(INTERFACE), "{text}");
        assert_eq!(world.found(&[("email", "bob@example.com")]).await, ["bob"], "nothing was wiped");
        let rebuilt = rebuild(&world, Some(key.trim()));
        assert!(rebuilt.status.success(), "{rebuilt:?}");
        assert_eq!(world.found(&[("email", "bob@example.com")]).await, ["bob"]);
        for given in [ADA, ("phone", "0170 1")] {
            assert!(world.found(&[given]).await.is_empty(), "{given:?}");
        }
    }
}

#[tokio::test]
async fn fields_hold_for_later_events_and_after_a_rebuild_for_all() {
    let world = World::start().await;
    world.publish_about("e1", "ada", json!({"email": ADA.1, "city": "Zürich"})).await;
    let unknown = leads_by(world.channel(), ACCOUNT, &[ADA]).await.unwrap_err();
    assert!(unknown.message().contains("its interfaces name none"), "{unknown}");
    world.set_searchable(fields()).await.unwrap();
    world.publish_about("e2", "bob", json!({"email": ADA.1, "city": "ZU\u{308}RICH"})).await;
    world.finds(&[ADA], &["bob"]).await;
    let city = field("city", "payload.city", SearchableKind::Text);
    world.set_searchable(vec![fields().swap_remove(0), city]).await.unwrap();
    // A removed field cannot be searched by, and a new one does not find earlier leads.
    let unknown = leads_by(world.channel(), ACCOUNT, &[("phone", "112"), ("city", "")]).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    let violations: Vec<_> = unknown.get_details_bad_request().unwrap().field_violations;
    let violations: Vec<_> = violations.into_iter().map(|it| (it.field, it.description)).collect();
    assert_eq!(violations[0].0, "where");
    let known = "its searchable fields are city, email";
    assert!(
        violations[1].1.contains(&format!("\"phone\" is not a searchable field of account acme; {known}")),
        "{violations:?}"
    );
    assert!(violations[0].1.contains("the value of city is not a text"), "{violations:?}");
    assert!(world.found(&[("city", "zürich")]).await.is_empty());
    let key = fs::read_to_string(world.home.data().join("master.key")).unwrap();
    let rebuilt = rebuild(&world, Some(key.trim()));
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert_eq!(world.found(&[("city", "zürich")]).await, ["ada", "bob"]);
    assert_eq!(world.found(&[ADA, ("city", "Zürich")]).await, ["ada", "bob"]);
    let without_account =
        deliveries_by(world.channel(), api::DeliveryFilter { account_id: String::new(), ..filter(&[ADA]) });
    assert!(without_account.await.unwrap_err().message().contains("filter.account_id"));
}

#[tokio::test]
async fn every_wrong_field_is_named_and_odd_paths_are_warned_about() {
    let world = World::start().await;
    let wrong = vec![
        field("E-Mail", "email", SearchableKind::Email),
        SearchableField { kind: 9, ..field("phone", "payload.", SearchableKind::Phone) },
    ];
    let refused = world.set_searchable(wrong).await.unwrap_err();
    let wrong: Vec<_> = refused.get_details_bad_request().unwrap().field_violations;
    let wrong: Vec<_> = wrong.into_iter().map(|it| it.field).collect();
    let expected = [
        "searchable_fields[0].name",
        "searchable_fields[0].path",
        "searchable_fields[1].path",
        "searchable_fields[1].kind",
    ];
    assert_eq!(wrong, expected, "{refused}");
    let twice =
        vec![field("email", "payload.a", SearchableKind::Email), field("email", "payload.b", SearchableKind::Text)];
    assert!(world.set_searchable(twice).await.unwrap_err().message().contains("the name email is given twice"));
    let many = (0..9).map(|n| field(&format!("f{n}"), "payload.a", SearchableKind::Text)).collect();
    assert!(world.set_searchable(many).await.unwrap_err().message().contains("8 is the limit"));
    let odd = field("email", "payload.items[0].email", SearchableKind::Email);
    let set = world.set_searchable(vec![odd.clone()]).await.unwrap();
    assert!(set.warnings[0].contains("as a separate part"), "{set:?}");
    let request = api::GetInterfaceRequest { account_id: ACCOUNT.into(), interface_id: INTERFACE.into() };
    let shown = world.registry().get_interface(request).await.unwrap().into_inner();
    assert_eq!((shown.searchable_fields, shown.warnings.len()), (vec![odd], 1));
    assert_eq!(shown.name, "Form", "the mask left the other settings alone");
}

#[tokio::test]
async fn a_job_retries_what_is_found_and_stores_no_value() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.set_searchable(fields()).await.unwrap();
    world.publish_about("e1", "ada", json!({"email": ADA.1})).await;
    world.publish_about("e2", "bob", json!({"email": "bob@example.com"})).await;
    for event in ["e1", "e2"] {
        world.delivery_is(event, DeliveryStatus::Failed).await;
    }
    world.finds(&[ADA], &["ada"]).await;
    receiver.answer(Answer::Status(200));
    let request = api::RetryDeliveriesRequest { filter: Some(filter(&[ADA])), request_id: "once".into(), ..retries() };
    let job = world.retry_many(request.clone()).await.unwrap();
    let done = world.job_is(&job.job_id, JobStatus::Completed).await;
    assert_eq!(done.counts.unwrap().retried, 1);
    let Some(Plan::Retry(plan)) = done.plan else { panic!("the job has no plan to retry") };
    assert_eq!((plan.delivery_ids.len(), plan.filter), (1, None), "the job has the ids, and no value");
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    world.delivery_is("e2", DeliveryStatus::Failed).await;
    // A repeated request returns the same job, although no delivery matches any more.
    assert_eq!(world.retry_many(request.clone()).await.unwrap().job_id, job.job_id);
    let again = api::RetryDeliveriesRequest { request_id: "again".into(), ..request };
    assert!(world.retry_many(again).await.unwrap_err().message().contains("matches no delivery"));
}

#[tokio::test]
async fn the_command_line_sets_fields_and_finds_by_them() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    let set = ["interfaces", "update", INTERFACE, "--searchable", "email=payload.email"];
    let set = world.run(&[&set[..], &["--searchable", "tel=payload.phones.0:phone"]].concat()).await.well();
    assert!(set.out.contains("email=payload.email:email, tel=payload.phones.0:phone"), "{set:?}");
    assert!(set.err.contains("Warning: ") && set.err.contains("leadline rebuild"), "{set:?}");
    world.publish_about("e1", "ada", json!({"email": ADA.1, "phones": ["+49 170 1234567"]})).await;
    world.publish_about("e2", "bob", json!({"email": "bob@example.com"})).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    world.finds(&[ADA], &["ada"]).await;
    let found = world.run(&["leads", "--where", "email=ADA@example.com", "--where", "tel=00491701234567"]).await.well();
    assert!(found.out.contains("ada") && !found.out.contains("bob"), "{found:?}");
    let found = world.run(&["deliveries", "--where", "email=ada@example.com"]).await.well();
    assert!(found.out.contains("ada") && !found.out.contains("bob"), "{found:?}");
    let refused = world.run(&["leads", "--where", "emial=ada@example.com"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("its searchable fields are email, tel"), "{refused:?}");
    let refused = world.run(&["leads", "--where", "email=a@example.com", "--where", "email=b@example.com"]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    let none = world.run(&["interfaces", "update", INTERFACE, "--searchable", ""]).await.well();
    assert!(!none.out.contains("payload.email"), "{none:?}");
}
