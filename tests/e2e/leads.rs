//! Lists and exports of leads, on both databases.

use api::{DeliveryStatus, timestamp};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, SOON, World};

async fn listed(world: &World, request: api::ListLeadsRequest) -> Vec<api::Lead> {
    let (mut all, mut page_token) = (vec![], String::new());
    loop {
        let request = api::ListLeadsRequest { page_size: 3, page_token, ..request.clone() };
        let page = world.leads().list_leads(request).await.unwrap().into_inner();
        all.extend(page.leads);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

pub(crate) async fn exported(world: &World, request: api::ExportLeadsRequest) -> String {
    let mut pieces = world.leads().export_leads(request).await.unwrap().into_inner();
    let mut csv = vec![];
    while let Some(piece) = pieces.message().await.unwrap() {
        csv.extend_from_slice(&piece.csv);
    }
    String::from_utf8(csv).unwrap()
}

/// Publishes ten leads of two interfaces and two clients. Leads with an even number fail; one answer is a formula.
async fn fill(world: &World, receiver: &Receiver) {
    world.interface("page").await;
    for client in ["north", "south"] {
        world.client(client).await;
    }
    world.destination(&receiver.url()).await;
    for n in 0..10 {
        let answer = match n {
            0 => Answer::With(500, vec![], "=cmd|' /C calc'!A0,\"quoted\"\r\nsecond line".into()),
            2 => Answer::Reset,
            even if even % 2 == 0 => Answer::Status(404),
            _ => Answer::With(200, vec![], "ok".into()),
        };
        receiver.answer(answer);
        let interface = if n < 7 { INTERFACE } else { "page" };
        let client = if n % 3 == 0 { "north" } else { "south" };
        let event = format!("e{n}");
        world.publish_with(&event, json!({"interface": interface, "client": client})).await;
        let status = if n % 2 == 0 { DeliveryStatus::Failed } else { DeliveryStatus::Succeeded };
        world.delivery_is(&event, status).await;
    }
    // Leads and deliveries are projected from two streams, in any order.
    let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    wait::until_eq("every lead", SOON, 10, async || listed(world, request.clone()).await.len()).await;
}

#[tokio::test]
async fn leads_are_listed_by_every_filter() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        fill(&world, &receiver).await;
        let account = || api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
        let all = listed(&world, account()).await;
        assert_eq!(all.len(), 10);
        assert!(all.is_sorted_by_key(|lead| std::cmp::Reverse(timestamp(&lead.created_at.unwrap()))));
        let middle = all[4].created_at;
        type Matches = Box<dyn Fn(&api::Lead) -> bool>;
        let filters: [(api::ListLeadsRequest, Matches); 12] = [
            (api::ListLeadsRequest { failed: Some(true), ..account() }, Box::new(|l| l.failed)),
            (api::ListLeadsRequest { failed: Some(false), ..account() }, Box::new(|l| !l.failed)),
            (
                api::ListLeadsRequest { interface_id: "page".into(), ..account() },
                Box::new(|l| l.interface_id == "page"),
            ),
            (api::ListLeadsRequest { client_id: "north".into(), ..account() }, Box::new(|l| l.client_id == "north")),
            (api::ListLeadsRequest { http_status_code: 404, ..account() }, Box::new(|l| l.http_status_code == 404)),
            (api::ListLeadsRequest { http_status_code: 999, ..account() }, Box::new(|l| l.http_status_code == 999)),
            (api::ListLeadsRequest { http_status_code: 200, ..account() }, Box::new(|l| l.http_status_code == 200)),
            (
                api::ListLeadsRequest { http_status_code: 404, interface_id: "page".into(), ..account() },
                Box::new(|l| l.http_status_code == 404 && l.interface_id == "page"),
            ),
            (
                api::ListLeadsRequest {
                    http_status_code: 404,
                    failed: Some(true),
                    client_id: "south".into(),
                    ..account()
                },
                Box::new(|l| l.http_status_code == 404 && l.client_id == "south"),
            ),
            (
                api::ListLeadsRequest { failed: Some(true), interface_id: INTERFACE.into(), ..account() },
                Box::new(|l| l.failed && l.interface_id == INTERFACE),
            ),
            (
                api::ListLeadsRequest { created_from: middle, ..account() },
                Box::new(move |l| timestamp(&l.created_at.unwrap()) >= timestamp(&middle.unwrap())),
            ),
            (
                api::ListLeadsRequest { created_before: middle, failed: Some(true), ..account() },
                Box::new(move |l| l.failed && timestamp(&l.created_at.unwrap()) < timestamp(&middle.unwrap())),
            ),
        ];
        for (request, matches) in filters {
            let expected: Vec<_> = all.iter().filter(|lead| matches(lead)).cloned().collect();
            assert!(!expected.is_empty(), "{request:?}");
            assert_eq!(listed(&world, request.clone()).await, expected, "{request:?}");
        }
    }
}

#[tokio::test]
async fn lead_shows_its_latest_answer_and_counts() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        receiver.answer(Answer::Status(500));
        world.publish("e1").await;
        world.delivery_is("e1", DeliveryStatus::Failed).await;
        let lead = world.lead("e1").await;
        assert_eq!((lead.events, lead.deliveries, lead.failed_deliveries, lead.failed), (1, 1, 1, true));
        assert_eq!(lead.http_status_code, 500);
        receiver.answer(Answer::With(201, vec![], "made".into()));
        world.publish_with("e2", json!({"lead_id": "lead-e1", "type": "email.open"})).await;
        world.delivery_is("e2", DeliveryStatus::Succeeded).await;
        world.retry("e1").await.unwrap();
        world.delivery_is("e1", DeliveryStatus::Succeeded).await;
        let lead = wait::until("the second event", SOON, async || {
            let lead = world.lead("e1").await;
            if lead.events == 2 { Ok(lead) } else { Err(lead) }
        })
        .await;
        assert_eq!((lead.deliveries, lead.failed_deliveries, lead.failed), (2, 0, false));
        assert_eq!((lead.http_status_code, lead.webhook_response.as_str()), (201, "made"));
    }
}

#[tokio::test]
async fn export_is_csv_without_formulas() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        fill(&world, &receiver).await;
        let account = || api::ExportLeadsRequest { account_id: ACCOUNT.into(), ..api::ExportLeadsRequest::default() };
        let csv = exported(&world, account()).await;
        let read = read_by_python(&csv);
        assert_eq!(read[0][..4], ["account_id", "interface_id", "client_id", "lead_id"]);
        assert_eq!(read[0][10..], ["http_status_code", "webhook_response", "anonymised_at"]);
        let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
        let all = listed(&world, request).await;
        assert_eq!(read.len(), 11);
        for (row, lead) in read[1..].iter().zip(&all) {
            assert_eq!(row[..4], [ACCOUNT, &lead.interface_id, &lead.client_id, &lead.lead_id]);
            assert_eq!(row[4], timestamp(&lead.created_at.unwrap()).unwrap().to_string());
            assert_eq!(row[6..10], ["1", "1", if lead.failed { "1" } else { "0" }, &lead.failed.to_string()]);
            assert_eq!(row[10], lead.http_status_code.to_string());
            let apostrophe = if lead.webhook_response.starts_with('=') { "'" } else { "" };
            assert_eq!(row[11], format!("{apostrophe}{}", lead.webhook_response));
        }
        assert!(csv.contains("\"'=cmd|' /C calc'!A0,\"\"quoted\"\"\nsecond line\",\r\n"), "{csv}");
        let failed =
            read_by_python(&exported(&world, api::ExportLeadsRequest { failed: Some(true), ..account() }).await);
        assert_eq!(failed.len(), 6);
        let none = exported(&world, api::ExportLeadsRequest { interface_id: "none".into(), ..account() }).await;
        assert_eq!(none.lines().count(), 1, "only the column names");
    }
    let world = World::start().await;
    let refused = world.leads().export_leads(api::ExportLeadsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn export_has_no_formulas_and_can_keep_ids() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let answers = ["x;=1+1", "x\t@SUM(A1)", "x,\"y\"\n-1", "x; ＝1", "ok"];
    for (n, answer) in answers.iter().enumerate() {
        receiver.answer(Answer::With(200, vec![], (*answer).into()));
        let (event, lead) = (format!("e{n}"), format!("00123456789{n}"));
        world.publish_with(&event, json!({"lead_id": lead})).await;
        world.delivery_is(&event, DeliveryStatus::Succeeded).await;
    }
    let account = || api::ExportLeadsRequest { account_id: ACCOUNT.into(), ..api::ExportLeadsRequest::default() };
    let csv = wait::until("every lead", SOON, async || {
        let csv = exported(&world, account()).await;
        (csv.matches("acme,").count() == answers.len()).then_some(csv)
    })
    .await;
    for separator in [",", ";", "\t"] {
        let cells: Vec<_> = read_by_python_at(&csv, separator).into_iter().flatten().collect();
        let formula = cells.iter().find(|cell| cell.trim_start().starts_with(['=', '+', '-', '@', '＝']));
        assert_eq!(formula, None, "split at {separator:?}: {csv}");
    }
    assert!(csv.contains(",001234567890,"), "{csv}");
    let request = api::ExportLeadsRequest { byte_order_mark: true, ids_as_text: true, ..account() };
    let for_spreadsheets = exported(&world, request).await;
    assert!(for_spreadsheets.starts_with("\u{feff}account_id,"), "{for_spreadsheets}");
    assert!(for_spreadsheets.contains("\r\nacme,form,,'001234567890,"), "{for_spreadsheets}");
    let plain = for_spreadsheets.trim_start_matches('\u{feff}').replace(",'00", ",00");
    assert_eq!(plain, exported(&world, account()).await);
}

#[tokio::test]
async fn export_of_many_pages_has_every_lead_once() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::With(200, vec![], "one line".into()));
    world.destination(&receiver.url()).await;
    const LEADS: usize = 1_234;
    world.publish_many(LEADS).await;
    wait::until_eq("all of them", SOON, LEADS, async || receiver.count()).await;
    let request = api::ExportLeadsRequest { account_id: ACCOUNT.into(), ..api::ExportLeadsRequest::default() };
    wait::until_eq("every lead once", SOON, LEADS, async || {
        let csv = exported(&world, request.clone()).await;
        let mut leads: Vec<_> = csv.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_owned()).collect();
        let lines = leads.len();
        leads.sort();
        leads.dedup();
        assert_eq!(leads.len(), lines, "each lead once");
        lines
    })
    .await;
}

/// Reads CSV with Python's standard library, independently of the tested code.
fn read_by_python(csv: &str) -> Vec<Vec<String>> {
    read_with(csv, "strict=True")
}

/// Reads CSV leniently with another separator, like spreadsheets of some countries.
fn read_by_python_at(csv: &str, separator: &str) -> Vec<Vec<String>> {
    read_with(csv, &format!("delimiter={separator:?}"))
}

fn read_with(csv: &str, options: &str) -> Vec<Vec<String>> {
    use std::io::Write as _;
    let program = format!(
        "import csv, io, json, sys\n\
        text = sys.stdin.buffer.read().decode()\n\
        print(json.dumps(list(csv.reader(io.StringIO(text, newline=''), {options}))))"
    );
    let mut python = std::process::Command::new("python3")
        .args(["-c", &program])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(csv.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
