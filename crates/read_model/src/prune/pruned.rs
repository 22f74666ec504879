//! Tests in both databases: which rows pruning deletes and which it leaves, the leases for it, and the sizes of tables
//! and files.

use std::time::Duration;

use domain::{AccountId, LeadId};
use jiff::Timestamp;
use journal::StreamName;
use sqlx::{AssertSqlSafe, Row as _};
use testkit::wait;
use uuid::Uuid;

use crate::{
    prune::{Pruned, TooOld, free_pages::FreePages},
    sql::both::stores,
    store::{OF_SQLITE, Store},
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Everything before this time is too old; in microseconds.
const BEFORE: i64 = 1_000_000_000;
const OLD: i64 = BEFORE / 2;
const YOUNG: i64 = BEFORE * 2;
/// The maximum number of rows of a step.
const MAX_ROWS: u32 = 3;

/// Leads, each with an event, a delivery of that event, an attempt, a log entry and a value.
struct Rows<'a> {
    account: &'a str,
    /// The prefix of their ids.
    name: &'a str,
    /// The number of leads.
    count: u32,
    /// When the first lead was received.
    at: i64,
    /// The time between two leads.
    step: i64,
    status: &'a str,
    /// The bytes of a receiver's response, which the rows of the attempt and of the delivery hold.
    response: u32,
}

const SOME: Rows<'_> =
    Rows { account: "acme", name: "", count: 7, at: OLD, step: 1, status: "succeeded", response: 20 };

impl Store {
    /// Updates the statistics of PostgreSQL, as autovacuum does some time after rows were written.
    async fn settle(&self) {
        if !self.is_sqlite() {
            run(self, "VACUUM ANALYZE").await;
        }
    }
}

/// Writes rows that the database generates.
async fn fill(store: &Store, rows: &Rows<'_>) {
    let uuid = if store.is_sqlite() {
        "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-5' || substr(hex(randomblob(2)), 2) || '-8' || \
         substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
    } else {
        "gen_random_uuid()::TEXT"
    };
    let Rows { account, name, count, at, step, status, response } = rows;
    let failed = i32::from(*status == "failed");
    let response = if store.is_sqlite() {
        format!("substr(hex(zeroblob({response})), 1, {response})")
    } else {
        format!("repeat('x', {response})")
    };
    let statements = [
        format!(
            "INSERT INTO lead_events (account, event_id, lead, interface, client, event_type, received_at, sequence) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             SELECT '{account}', '{name}e' || i, '{name}l' || i, 'form', '', 'lead.created', {at} + i * {step}, i FROM n"
        ),
        format!(
            "INSERT INTO leads (account, lead, interface, client, created_at, updated_at, events, deliveries, failed) \
             SELECT account, lead, 'form', '', received_at, received_at, 1, 1, {failed} FROM lead_events \
             WHERE account = '{account}' AND lead LIKE '{name}l%'"
        ),
        format!(
            "INSERT INTO deliveries (delivery, account, interface, client, destination, event_id, event_type, lead, \
             lead_sequence, status, attempts, round, requested_at, next_attempt_at, failure, updated_at, at_succeeded, \
             at_attempts, at_round, at_hold, at_phase, at_time, at_tie, last_id, last_attempt, last_started_at, \
             last_duration, last_method, last_url, last_status, last_response, last_error_kind) \
             SELECT {uuid}, account, 'form', '', 'dst_of_' || account, event_id, event_type, lead, sequence, '{status}', 1, \
             1, received_at, 0, '', received_at, {}, 1, 1, 0, 1, received_at, '0', {uuid}, 1, received_at, 1000, 'POST', \
             'https://crm.example/hook', 200, {response}, '' FROM lead_events \
             WHERE account = '{account}' AND lead LIKE '{name}l%'",
            i32::from(*status == "succeeded")
        ),
        format!(
            "INSERT INTO attempts (delivery, attempt, number, round, started_at, duration, method, url, status, response, \
             error_kind, destination, deactivated, sequence, verdict, next_attempt_at) \
             SELECT delivery, last_id, 1, 1, requested_at, 1000, 'POST', last_url, 200, last_response, '', destination, '', \
             lead_sequence, 'succeeded', 0 FROM deliveries WHERE account = '{account}' AND lead LIKE '{name}l%'"
        ),
        format!(
            "INSERT INTO lead_log (fact, account, lead, at, entry, detail, event_id, delivery, destination) \
             SELECT 'held/' || delivery, account, lead, requested_at, 'held', '', event_id, delivery, destination \
             FROM deliveries WHERE account = '{account}' AND lead LIKE '{name}l%'"
        ),
        format!(
            "INSERT INTO lead_values (account, field, hash, lead, client, sequence) \
             SELECT account, 'email', event_id, lead, '', sequence FROM lead_events \
             WHERE account = '{account}' AND lead LIKE '{name}l%'"
        ),
    ];
    for statement in statements {
        run(store, &statement).await;
    }
}

async fn run(store: &Store, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&store.writer).await.unwrap();
}

async fn count(store: &Store, what: &str) -> i64 {
    let select = format!("SELECT COUNT(*) FROM {what}");
    sqlx::query(AssertSqlSafe(select)).fetch_one(&store.pool).await.unwrap().get(0)
}

/// The number of rows in each table about leads.
async fn counts(store: &Store) -> Vec<i64> {
    let mut counts = vec![];
    for table in ["leads", "lead_events", "deliveries", "attempts", "lead_log", "lead_values"] {
        counts.push(count(store, table).await);
    }
    counts
}

/// The steps of a sweep of one account.
async fn prune(store: &Store, account: &str) {
    let account = AccountId::parse(account).unwrap();
    let old = TooOld { account, before: Timestamp::from_microsecond(BEFORE).unwrap() };
    let mut after = None;
    loop {
        let leads = store.leads_before(&old, after.as_ref(), MAX_ROWS).await.unwrap();
        let Some(last) = leads.last().cloned() else { break };
        while done(store.prune_deliveries(&old, &leads, MAX_ROWS).await).more {}
        while done(store.prune_events(&old, &leads, MAX_ROWS).await).more {}
        while done(store.prune_log(&old, &leads, MAX_ROWS).await).more {}
        done(store.prune_leads(&old, &leads).await);
        after = Some(last);
    }
    while done(store.prune_jobs(&old, MAX_ROWS).await).more {}
}

fn done(pruned: Result<Pruned, crate::StoreError>) -> Pruned {
    let pruned = pruned.unwrap();
    assert!(pruned.rows <= MAX_ROWS, "{pruned:?}");
    pruned
}

#[tokio::test]
async fn ended_and_old_deliveries_are_deleted_with_their_rows() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        fill(&store, &SOME).await;
        fill(&store, &Rows { name: "failed", status: "failed", ..SOME }).await;
        fill(&store, &Rows { name: "young", at: YOUNG, count: 2, ..SOME }).await;
        fill(&store, &Rows { account: "other", ..SOME }).await;
        run(
            &store,
            "INSERT INTO anonymised_leads (account, lead, until) VALUES ('acme', 'l1', 9), ('acme', 'youngl1', 9)",
        )
        .await;
        run(
            &store,
            "INSERT INTO copies (stream, sequence, account, lead, lead_sequence) VALUES ('LEADS', 3, 'acme', 'l1', 1)",
        )
        .await;
        assert_eq!(counts(&store).await, [23; 6]);
        prune(&store, "acme").await;
        // Young rows and rows of another account stay.
        assert_eq!(counts(&store).await, [9; 6]);
        assert_eq!((count(&store, "anonymised_leads").await, count(&store, "copies").await), (1, 0));
        // The second sweep finds nothing to delete.
        prune(&store, "acme").await;
        assert_eq!(counts(&store).await, [9; 6]);
    }
}

#[tokio::test]
async fn open_deliveries_stay_with_their_rows() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        for status in ["pending", "processing", "retrying", "held"] {
            fill(&store, &Rows { name: status, status, count: 5, ..SOME }).await;
        }
        prune(&store, "acme").await;
        assert_eq!(counts(&store).await, [20; 6]);
        // The history of a delivery begins when it ends, not when it was requested.
        run(&store, &format!("UPDATE deliveries SET status = 'succeeded', updated_at = {YOUNG}")).await;
        prune(&store, "acme").await;
        assert_eq!(counts(&store).await, [20; 6]);
        run(&store, &format!("UPDATE deliveries SET updated_at = {OLD}")).await;
        prune(&store, "acme").await;
        assert_eq!(counts(&store).await, [0; 6]);
    }
}

#[tokio::test]
async fn a_lead_with_young_rows_loses_only_its_old_rows() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        fill(&store, &Rows { status: "failed", ..SOME }).await;
        fill(&store, &Rows { name: "young", at: YOUNG, ..SOME }).await;
        // All rows are about one lead.
        for table in ["lead_events", "lead_values"] {
            run(&store, &format!("UPDATE {table} SET sequence = sequence + 100 WHERE lead LIKE 'young%'")).await;
        }
        for table in ["lead_events", "deliveries", "lead_log", "lead_values"] {
            run(&store, &format!("UPDATE {table} SET lead = 'l1'")).await;
        }
        run(&store, "DELETE FROM leads WHERE lead <> 'l1'").await;
        run(&store, &format!("UPDATE leads SET events = 14, deliveries = 14, failed = 7, updated_at = {YOUNG}")).await;
        prune(&store, "acme").await;
        assert_eq!(counts(&store).await, [1, 7, 7, 7, 7, 7]);
        let (account, lead) = (AccountId::parse("acme").unwrap(), LeadId::parse("l1").unwrap());
        let lead = store.lead(&account, &lead).await.unwrap().unwrap();
        assert_eq!((lead.events, lead.deliveries, lead.failed_deliveries), (7, 7, 0));
    }
}

#[tokio::test]
async fn ended_jobs_are_deleted_with_their_refusals() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        for (job, status, at) in [("a", "completed", OLD), ("b", "running", OLD), ("c", "failed", YOUNG)] {
            run(
                &store,
                &format!("INSERT INTO jobs (job, account, status, started_at, facts) VALUES ('{job}', 'acme', '{status}', {at}, '')"),
            )
            .await;
            for delivery in 0..5 {
                run(&store, &format!("INSERT INTO job_refusals VALUES ('{job}', '{delivery}', 'x', '')")).await;
            }
        }
        prune(&store, "acme").await;
        assert_eq!((count(&store, "jobs").await, count(&store, "job_refusals").await), (2, 10));
        assert_eq!(count(&store, "jobs WHERE job = 'a'").await, 0);
    }
}

#[tokio::test]
async fn notes_are_deleted_when_the_stream_loses_the_copies() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        for sequence in 1..=9 {
            run(&store, &format!("INSERT INTO copies VALUES ('LEADS', {sequence}, 'acme', 'ada', 1)")).await;
        }
        run(&store, "INSERT INTO copies VALUES ('DELIVERIES', 1, 'acme', 'ada', 1)").await;
        while done(store.prune_copies(StreamName::Leads, 8, MAX_ROWS).await).more {}
        assert_eq!(count(&store, "copies").await, 3);
    }
}

#[tokio::test]
async fn one_process_holds_a_lease_until_it_expires_or_is_released() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let claim = async |holder, lasts| store.claim("work", holder, lasts).await.unwrap();
        let hour = Duration::from_secs(3_600);
        assert!(claim(one, hour).await && claim(one, hour).await);
        assert!(!claim(two, hour).await);
        store.release("work", two).await.unwrap();
        assert!(!claim(two, hour).await);
        store.release("work", one).await.unwrap();
        assert!(claim(two, Duration::ZERO).await);
        assert!(claim(one, hour).await);
    }
}

#[tokio::test]
async fn every_table_has_a_size() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        fill(&store, &Rows { count: 1_000, response: 500, ..SOME }).await;
        store.settle().await;
        // The statistics of PostgreSQL appear a moment later.
        let sizes = wait::until("the figures", TIMEOUT, async || {
            let sizes = store.table_sizes().await.unwrap();
            let rows = |name: &str| sizes.iter().find(|size| size.name == name).map(|size| size.rows);
            if ["deliveries", "attempts", "leads"].iter().all(|name| rows(name) == Some(1_000)) {
                Ok(sizes)
            } else {
                Err(sizes)
            }
        })
        .await;
        for (name, least) in [("deliveries", 700_000), ("attempts", 600_000), ("leads", 100_000)] {
            let size = sizes.iter().find(|size| size.name == name).unwrap();
            assert!((least..least * 5).contains(&size.bytes), "{size:?}");
            assert_eq!(size.oldest.map(Timestamp::as_microsecond), Some(OLD + 1), "{name}");
        }
        let refusals = sizes.iter().find(|size| size.name == "job_refusals").unwrap();
        assert_eq!((refusals.rows, refusals.oldest), (0, None));
        let (database, tables) = (store.database_size().await.unwrap(), sizes.iter().map(|size| size.bytes).sum());
        assert!(database.bytes >= tables, "{database:?} holds {tables}");
    }
}

#[tokio::test]
async fn an_sqlite_file_gives_back_most_free_pages() {
    let (store, _postgres, _folder) = stores().await;
    fill(&store, &Rows { count: 2_000, response: 1_000, ..SOME }).await;
    let full = store.database_size().await.unwrap();
    prune(&store, "acme").await;
    let pruned = store.database_size().await.unwrap();
    assert!(pruned.free > full.bytes / 2, "{pruned:?} of {full:?}");
    while matches!(store.give_back(100).await.unwrap(), FreePages::GivenBack(1..=100)) {}
    assert_eq!(store.give_back(100).await.unwrap(), FreePages::Few);
    let left = store.database_size().await.unwrap();
    assert!(left.bytes < full.bytes / 3 && left.free <= left.bytes / 9, "{left:?} of {full:?}");
}

#[tokio::test]
async fn a_compacted_older_file_gives_pages_back() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("older.db").display());
    sqlx::any::install_default_drivers();
    let older = OF_SQLITE.to_owned();
    let older = crate::sql::connect::pool(&url, 1, vec![older]).await.unwrap();
    sqlx::raw_sql("CREATE TABLE anything (i)").execute(&older).await.unwrap();
    older.close().await;

    let store = Store::connect(&url).await.unwrap();
    fill(&store, &Rows { count: 500, response: 1_000, ..SOME }).await;
    prune(&store, "acme").await;
    assert_eq!(store.give_back(100).await.unwrap(), FreePages::Stuck);
    store.compact().await.unwrap();
    assert_eq!(store.database_size().await.unwrap().free, 0);
    fill(&store, &Rows { count: 500, response: 1_000, ..SOME }).await;
    prune(&store, "acme").await;
    assert_eq!(store.give_back(10).await.unwrap(), FreePages::GivenBack(10));
}
