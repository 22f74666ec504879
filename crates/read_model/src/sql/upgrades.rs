//! Tests of migrations in both databases: the rows of an older version are still there.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use domain::{
    AccountId, DeliveryId, DeliveryRef, DestinationId, EventId, EventType, InterfaceId, LeadId, LeadSequence,
};
use sqlx::{AnyPool, Row as _, any::install_default_drivers};

use crate::{
    page::Page,
    sql::{connect::pool, migrations::migrations},
    store::{OF_SQLITE, Store},
    tables::counts::{CountFilter, Width},
};

/// The last version in which the key of an attempt does not begin with its delivery.
const BEFORE: i64 = 12;
const DELIVERY: &str = "00000000-0000-0000-0000-000000000001";
const ATTEMPT: &str = "00000000-0000-0000-0000-000000000002";

/// The columns of an attempt as one line. In [`LINE`] each value is different.
const ATTEMPTS: &str = "SELECT delivery || ' ' || number || ' ' || round || ' ' || started_at || ' ' || duration || ' ' || \
    method || ' ' || url || ' ' || status || ' ' || response || ' ' || error_kind || ' ' || destination || ' ' || \
    deactivated || ' ' || sequence || ' ' || verdict || ' ' || next_attempt_at AS line FROM attempts";
const LINE: &str = "00000000-0000-0000-0000-000000000001 3 4 5 6 PUT https://x/ 503 later timeout dst gone 7 retry 8";

#[tokio::test]
async fn attempts_are_kept_and_found_by_their_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("older.db").display());
    for url in [sqlite, testkit::postgres::database().await] {
        let older = older(&url, BEFORE).await;
        for statement in older_rows() {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&older).await.unwrap();
        }
        older.close().await;

        let store = Store::connect(&url).await.unwrap();
        let row = sqlx::query(ATTEMPTS).fetch_one(&store.pool).await.unwrap();
        assert_eq!(row.get::<String, _>("line"), LINE);
        let attempts = store.attempts(&reference()).await.unwrap();
        assert_eq!(attempts[0].attempt.attempt_id.to_string(), ATTEMPT);
        assert_eq!(attempts[0].exchange, None, "older versions stored no exchange");
        let (account, lead) = (AccountId::parse("acme").unwrap(), LeadId::parse("ada").unwrap());
        assert_eq!(store.lead(&account, &lead).await.unwrap().unwrap().webhook_response, "later");
        // The older version deferred this index; this version does not have it.
        let indexes = store.indexes().query().fetch_all(&store.pool).await.unwrap();
        let indexes: Vec<String> = indexes.iter().map(|index| index.get("name")).collect();
        assert!(!indexes.contains(&"attempts_by_delivery".to_owned()), "{indexes:?}");
        let left = sqlx::query("SELECT name FROM put_off_indexes").fetch_all(&store.pool).await.unwrap();
        assert!(left.is_empty(), "{} indexes are still put off", left.len());
    }
}

/// The last version without counts by answer. The two statements write the rows that it stores for five attempts.
const BEFORE_ANSWERS: i64 = 19;
const COUNTED: &str = "INSERT INTO delivery_counts SELECT 'dst', w.width, 0, 'acme', 2, 0, 5, 3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 300 AS width UNION ALL SELECT 3600 UNION ALL SELECT 86400) w";
const ANSWERED: &str = "INSERT INTO attempts (attempt, delivery, number, round, started_at, duration, method, url, status, \
    response, error_kind, destination, deactivated, sequence, verdict, next_attempt_at) SELECT 'a' || a.n, 'd', a.n, 0, a.n, 1, \
    'POST', 'https://x/', a.status, '', a.error_kind, 'dst', '', 0, '', 0 FROM (SELECT 1 AS n, 200 AS status, '' AS error_kind \
    UNION ALL SELECT 2, 204, '' UNION ALL SELECT 3, 404, '' UNION ALL SELECT 4, 503, '' UNION ALL SELECT 5, 999, 'timeout') a";

#[tokio::test]
async fn buckets_of_an_older_version_get_their_counts_by_answer() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("answers.db").display());
    for url in [sqlite, testkit::postgres::database().await] {
        let older = older(&url, BEFORE_ANSWERS).await;
        for statement in [COUNTED, ANSWERED] {
            sqlx::raw_sql(statement).execute(&older).await.unwrap();
        }
        older.close().await;
        let store = Store::connect(&url).await.unwrap();
        for width in [Width::FiveMinutes, Width::Hour, Width::Day] {
            let account = AccountId::parse("acme").unwrap();
            let filter = CountFilter { account, destination: None, width, from: None, before: None };
            let buckets = store.counts(&filter, &Page::of(0, "", ()).unwrap()).await.unwrap();
            assert_eq!(buckets.len(), 1, "{width:?}");
            assert_eq!(buckets[0].counts.answers.0, [2, 0, 1, 1, 1], "{width:?}");
        }
    }
}

/// The delivery of the attempt; only its id matters.
fn reference() -> DeliveryRef {
    DeliveryRef {
        delivery: DeliveryId::parse(DELIVERY).unwrap(),
        account: AccountId::parse("acme").unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        destination: DestinationId::parse("dst").unwrap(),
        event_id: EventId::parse("e").unwrap(),
        event_type: EventType::lead_created(),
        lead: LeadId::parse("ada").unwrap(),
        lead_sequence: LeadSequence(1),
        requested_at: None,
    }
}

/// A database as an older version left it.
async fn older(url: &str, version: i64) -> AnyPool {
    install_default_drivers();
    let settings = if url.starts_with("sqlite:") { vec![OF_SQLITE.to_owned()] } else { vec![] };
    let older = pool(url, 1, settings).await.unwrap();
    migrations().run_to(version, &older).await.unwrap();
    older
}

/// The log of this program.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Enough rows that a migration takes longer than the interval between two log messages.
const MANY_ATTEMPTS: &str = "INSERT INTO attempts (attempt, delivery, number, round, started_at, duration, method, url, status, \
    response, error_kind) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
    SELECT 'a' || i, 'd' || (i * 7919 % 100000), 1, 1, i, 1, 'POST', 'https://crm.example/', 200, 'accepted', '' FROM n";

#[tokio::test]
async fn a_long_migration_logs_its_name_and_duration() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("older.db").display());
    // A subscriber of this thread alone would miss messages that another thread logs first: `tracing` remembers that no
    // subscriber wanted them.
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for url in [sqlite, testkit::postgres::database().await] {
        let older = older(&url, BEFORE).await;
        log.clear();
        sqlx::query(sqlx::AssertSqlSafe(MANY_ATTEMPTS)).execute(&older).await.unwrap();
        older.close().await;
        Store::connect(&url).await.unwrap();
        let text = log.text();
        for part in
            ["migrating the read model, step 1 of", "still migrating the read model name=attempts of deliveries"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

/// The rows that a killed rebuild of the older version leaves.
fn older_rows() -> [String; 5] {
    [
        "INSERT INTO leads (account, lead, interface, client, created_at, updated_at, last_attempt) \
         VALUES ('acme', 'ada', 'form', '', 1, 2, '{attempt}')",
        "INSERT INTO attempts (attempt, delivery, number, round, started_at, duration, method, url, status, response, \
         error_kind, destination, deactivated, sequence, verdict, next_attempt_at) VALUES ('{attempt}', '{delivery}', 3, 4, \
         5, 6, 'PUT', 'https://x/', 503, 'later', 'timeout', 'dst', 'gone', 7, 'retry', 8)",
        "INSERT INTO put_off_indexes (name, definition) VALUES ('attempts_by_delivery', \
         'CREATE INDEX attempts_by_delivery ON attempts (delivery, started_at, attempt)')",
        "INSERT INTO put_off_indexes (name, definition) VALUES ('attempts_by_destination', \
         'CREATE INDEX attempts_by_destination ON attempts (destination, started_at, attempt)')",
        "DROP INDEX attempts_by_delivery; DROP INDEX attempts_by_destination",
    ]
    .map(|row| row.replace("{delivery}", DELIVERY).replace("{attempt}", ATTEMPT))
}
