//! Tests of query plans: each list is read from the expected index, as `EXPLAIN` of the databases reports.

use domain::{
    AccountId, DestinationId, EventId, LeadId,
    delivery::FailureReason,
    job::JobStatus,
    outcome::HttpStatusClass,
    registry::{EntityKind, EventTypePattern},
};
use sqlx::Row as _;

use crate::{
    page::Page,
    sql::{Statement, both::stores},
    store::Store,
    tables::{
        audit::{self, AuditFilter},
        counts::{self, CountFilter, Width},
        deliveries::pages::{self, DeliveryFilter, SwitchedOff},
        jobs, known_events,
        leads::{self, LeadFilter},
        problems::{self, ProblemFilter},
        values::{self, Chosen, WantedHash},
    },
};

/// SQLite plans without knowing the number of rows, so its plan for an empty table is its plan for a million rows.
async fn reads_from(store: &Store, statement: Statement, index: &str, what: &str) {
    let rows = statement.after("EXPLAIN QUERY PLAN ").query().fetch_all(&store.pool).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    let searched = plan.iter().any(|line| line.starts_with("SEARCH") && line.contains(&format!("INDEX {index} (")));
    let sorted = plan.iter().any(|line| line.contains("TEMP B-TREE"));
    let scanned = plan.iter().any(|line| line.starts_with("SCAN"));
    assert!(searched && !scanned && (!sorted || index == "deliveries_by_event"), "{what} from {index}: {plan:#?}");
}

/// PostgreSQL plans by the rows that exist. The test checks that a plan without a sort and without a sequential scan is
/// possible.
async fn needs_no_sort(store: &Store, statement: Statement, what: &str) {
    let mut transaction = store.pool.begin().await.unwrap();
    for setting in ["enable_seqscan", "enable_bitmapscan", "enable_sort"] {
        Statement::new(format!("SET LOCAL {setting} = off")).query().execute(&mut *transaction).await.unwrap();
    }
    let rows = statement.after("EXPLAIN ").query().fetch_all(&mut *transaction).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(!plan.iter().any(|line| line.contains("Sort") || line.contains("Seq Scan")), "{what}: {plan:#?}");
}

fn deliveries() -> Vec<(DeliveryFilter, &'static str)> {
    let none = DeliveryFilter::default;
    let account = || DeliveryFilter { account: AccountId::parse("acme").ok(), ..none() };
    let to = || DeliveryFilter { destination: DestinationId::parse("dst").ok(), ..account() };
    let statuses = vec![domain::DeliveryStatus::Failed, domain::DeliveryStatus::Held];
    let (from, before) = (Some(jiff::Timestamp::UNIX_EPOCH), Some(jiff::Timestamp::MAX));
    vec![
        (none(), "deliveries_by_time"),
        (account(), "deliveries_by_account"),
        (DeliveryFilter { requested_from: from, requested_before: before, ..account() }, "deliveries_by_account"),
        (to(), "deliveries_by_destination"),
        (DeliveryFilter { statuses: statuses.clone(), ..none() }, "deliveries_open"),
        (DeliveryFilter { statuses: statuses.clone(), ..account() }, "deliveries_open_of_account"),
        (DeliveryFilter { statuses: statuses.clone(), requested_from: from, ..to() }, "deliveries_open_of_destination"),
        (DeliveryFilter { failure: Some(FailureReason::Exhausted), ..account() }, "deliveries_open_of_account"),
        (DeliveryFilter { http_status: Some(503), ..to() }, "deliveries_open_of_destination"),
        (DeliveryFilter { http_status_class: HttpStatusClass::new(5), ..none() }, "deliveries_open"),
        (DeliveryFilter { http_status_class: HttpStatusClass::new(4), ..account() }, "deliveries_open_of_account"),
        (DeliveryFilter { http_status_class: HttpStatusClass::new(1), ..to() }, "deliveries_open_of_destination"),
        (DeliveryFilter { http_status_class: HttpStatusClass::new(2), ..account() }, "deliveries_by_account"),
        (DeliveryFilter { event_type: EventTypePattern::parse("a.b").ok(), ..account() }, "deliveries_by_type"),
        (DeliveryFilter { lead: LeadId::parse("l").ok(), statuses, ..account() }, "deliveries_by_lead"),
        (DeliveryFilter { event_id: EventId::parse("e").ok(), ..to() }, "deliveries_by_event"),
    ]
}

fn leads() -> Vec<(LeadFilter, &'static str)> {
    let account = || LeadFilter {
        account: AccountId::parse("acme").unwrap(),
        interface: None,
        client: None,
        failed: None,
        http_status: None,
        created_from: None,
        created_before: None,
        values: vec![],
    };
    let interface = domain::InterfaceId::parse("form").ok();
    vec![
        (account(), "leads_by_time"),
        (LeadFilter { interface: interface.clone(), ..account() }, "leads_by_interface"),
        (LeadFilter { failed: Some(false), ..account() }, "leads_by_time"),
        (LeadFilter { failed: Some(true), interface: interface.clone(), ..account() }, "leads_failed"),
        (LeadFilter { failed: Some(true), http_status: Some(404), ..account() }, "leads_failed"),
        (LeadFilter { http_status: Some(404), interface, ..account() }, "leads_unsuccessful"),
        (LeadFilter { http_status: Some(200), ..account() }, "leads_by_time"),
    ]
}

fn audit_log() -> Vec<(AuditFilter, &'static str)> {
    let account = || AuditFilter {
        account: AccountId::parse("acme").ok(),
        kind: None,
        id: None,
        from: Some(jiff::Timestamp::UNIX_EPOCH),
        before: None,
        action: None,
    };
    let kind = Some(EntityKind::Destination);
    vec![
        (account(), "audit_log_by_account"),
        (AuditFilter { kind, ..account() }, "audit_log_by_kind"),
        (AuditFilter { kind, id: Some("dst".into()), ..account() }, "audit_log_by_entity"),
    ]
}

#[tokio::test]
async fn every_list_is_read_from_an_index_in_its_order() {
    let (sqlite, postgres, _folder) = stores().await;
    for (filter, index) in deliveries() {
        let what = format!("{filter:?}");
        let first = Page::of(0, "", ()).unwrap();
        let types = filter.event_type.as_ref().map(|pattern| vec![pattern.as_str().to_owned()]);
        let some = ["dst_a", "dst_b"].map(|id| DestinationId::parse(id).unwrap());
        for off in SwitchedOff::kinds(&some) {
            for branch in pages::branches(&filter, types.clone(), &off) {
                reads_from(&sqlite, pages::select(&filter, &first, branch.clone()), index, &what).await;
                if index != "deliveries_by_event" {
                    needs_no_sort(&postgres, pages::select(&filter, &first, branch), &what).await;
                }
            }
        }
    }
    for (filter, index) in audit_log() {
        let what = format!("{filter:?}");
        let first = Page::of(0, "", ()).unwrap();
        reads_from(&sqlite, audit::select(&filter, &first), index, &what).await;
        needs_no_sort(&postgres, audit::select(&filter, &first), &what).await;
    }
    let account = AccountId::parse("acme").unwrap();
    for (status, index) in [(None, "jobs_by_account"), (Some(JobStatus::Running), "jobs_by_account_and_status")] {
        let first = Page::of(0, "", ()).unwrap();
        reads_from(&sqlite, jobs::select(&account, status, &first), index, "jobs").await;
        needs_no_sort(&postgres, jobs::select(&account, status, &first), "jobs").await;
    }
    let key = (account.clone(), EventId::parse("e").unwrap());
    for after in [None, Some(&key)] {
        let select = || known_events::select_after(after, 9);
        reads_from(&sqlite, select(), "sqlite_autoindex_lead_events_1", "known events").await;
        needs_no_sort(&postgres, select(), "known events").await;
    }
    for (account, include_closed, index) in [
        (Some(&account), false, "problems_open"),
        (Some(&account), true, "problems_by_account"),
        (None, false, "problems_open_by_time"),
        (None, true, "problems_by_time"),
    ] {
        let first = Page::of(0, "", ()).unwrap();
        let filter = ProblemFilter { account: account.cloned(), destination: None, include_closed };
        reads_from(&sqlite, problems::select(&filter, &first), index, "problems").await;
        needs_no_sort(&postgres, problems::select(&filter, &first), "problems").await;
    }
    let of_destination = "sqlite_autoindex_delivery_counts_1";
    for (destination, index) in [(None, "delivery_counts_by_account"), (Some("dst"), of_destination)] {
        let first = Page::of(0, "", ()).unwrap();
        let destination = destination.and_then(|id| DestinationId::parse(id).ok());
        let (account, from) = (account.clone(), Some(jiff::Timestamp::UNIX_EPOCH));
        let filter = CountFilter { account, destination, width: Width::Hour, from, before: None };
        reads_from(&sqlite, counts::select(&filter, &first), index, "counts").await;
        needs_no_sort(&postgres, counts::select(&filter, &first), "counts").await;
    }
    for (filter, index) in leads() {
        let what = format!("{filter:?}");
        let first = Page::of(0, "", ()).unwrap();
        reads_from(&sqlite, leads::select(&filter, &first, &Chosen::default()), index, &what).await;
        needs_no_sort(&postgres, leads::select(&filter, &first, &Chosen::default()), &what).await;
    }
}

#[tokio::test]
async fn a_search_reads_no_table_as_a_whole() {
    let (sqlite, postgres, _folder) = stores().await;
    let account = AccountId::parse("acme").unwrap();
    let wanted = |field: &str, hash: &str| WantedHash { field: field.into(), hashes: vec![hash.into()] };
    let first = Page::of(0, "", ()).unwrap();
    let filter = LeadFilter {
        account: account.clone(),
        interface: None,
        client: None,
        failed: Some(true),
        http_status: Some(404),
        created_from: Some(jiff::Timestamp::UNIX_EPOCH),
        created_before: Some(jiff::Timestamp::MAX),
        values: vec![],
    };
    let of = DeliveryFilter {
        account: Some(account.clone()),
        statuses: vec![domain::DeliveryStatus::Failed],
        requested_from: Some(jiff::Timestamp::UNIX_EPOCH),
        ..DeliveryFilter::default()
    };
    let named = Chosen { leads: Some(vec!["ada".into(), "bob".into()]), ..Chosen::default() };
    let compared = Chosen { compared: vec![wanted("city", "h")], ..Chosen::default() };
    let deliveries = |chosen: &Chosen| {
        let branch = pages::branches_among(&of, None, &SwitchedOff::NOWHERE, chosen).swap_remove(0);
        pages::select(&of, &first, branch)
    };
    let by_value = "sqlite_autoindex_lead_values_1";
    for (select, indexes) in [
        (leads::select(&filter, &first, &named), vec!["sqlite_autoindex_leads_1"]),
        (leads::select(&filter, &first, &compared), vec!["leads_failed", by_value]),
        (deliveries(&named), vec!["deliveries_by_lead"]),
        (deliveries(&compared), vec!["deliveries_open_of_account", by_value]),
        (values::select(&account, &compared, &wanted("city", "h")), vec![by_value]),
    ] {
        let rows = select.after("EXPLAIN QUERY PLAN ").query().fetch_all(&sqlite.pool).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        for index in indexes {
            assert!(plan.iter().any(|line| line.contains(&format!("INDEX {index} ("))), "{index}: {plan:#?}");
        }
        assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{plan:#?}");
    }
    // PostgreSQL accepts these statements, too.
    for select in [leads::select(&filter, &first, &named), leads::select(&filter, &first, &compared)] {
        select.query().fetch_all(&postgres.pool).await.unwrap();
    }
    for select in [deliveries(&named), deliveries(&compared)] {
        select.query().fetch_all(&postgres.pool).await.unwrap();
    }
}
