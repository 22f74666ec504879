//! Fills a read model with rows that the database makes itself, so that filling takes minutes instead of hours.

use anyhow::Context as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _, any::install_default_drivers};

use crate::harness::{api::ACCOUNT, receiver::now_us};

/// The time between two leads, in microseconds.
pub(crate) const STEP: i64 = 1_000_000;
/// The filled tables. Each has one row per number.
pub(crate) const TABLES: [&str; 5] = ["lead_events", "leads", "deliveries", "attempts", "lead_log"];

/// One lead, event, delivery, attempt and log entry for each number. One delivery in a hundred failed; one in a
/// thousand is held or retried. Half of the deliveries go to one destination. Ids are scattered like real ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    /// The first number.
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// The time of the first lead, in microseconds.
    pub(crate) begin: i64,
    /// The bytes of a receiver's response, which attempt and delivery rows hold.
    pub(crate) response: u32,
}

pub(crate) fn now_micros() -> i64 {
    now_us().cast_signed()
}

/// Counts the rows of all tables.
pub(crate) async fn count(url: &str) -> anyhow::Result<i64> {
    let mut connection = connected(url).await?;
    let mut rows = 0;
    for table in TABLES {
        let select = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        rows += sqlx::query(select).fetch_one(&mut connection).await?.try_get::<i64, _>(0)?;
    }
    connection.close().await?;
    Ok(rows)
}

/// The size of the database and its free space, in bytes. (The figures of the status may be minutes old.)
pub(crate) async fn size(url: &str) -> anyhow::Result<(i64, i64)> {
    let mut connection = connected(url).await?;
    let select = if url.starts_with("sqlite") {
        "SELECT page_count * page_size, freelist_count * page_size \
         FROM pragma_page_count, pragma_page_size, pragma_freelist_count"
    } else {
        "SELECT pg_database_size(current_database()), 0::BIGINT"
    };
    let row = sqlx::query(select).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

impl Rows {
    pub(crate) async fn fill(self, url: &str, destination: &str) -> anyhow::Result<()> {
        let mut connection = connected(url).await?;
        let sqlite = url.starts_with("sqlite");
        if sqlite {
            run(&mut connection, "PRAGMA cache_size = -1000000").await?;
            run(&mut connection, "PRAGMA synchronous = OFF").await?;
        }
        let numbers = self.numbers();
        for insert in self.inserts(sqlite, destination) {
            run(&mut connection, &format!("{numbers} {insert}")).await?;
        }
        if !sqlite {
            run(&mut connection, "VACUUM ANALYZE").await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// The beginning of a statement that has a row `i` of `numbers` for each number.
    pub(crate) fn numbers(self) -> String {
        format!(
            "WITH RECURSIVE numbers (i) AS (SELECT CAST({} AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i < {})",
            self.first,
            self.first + self.count - 1
        )
    }

    fn inserts(self, sqlite: bool, destination: &str) -> Vec<String> {
        let id = |kind: &str| match sqlite {
            true => format!("printf('%08x-{kind}-5000-8000-%012x', (i * 2654435761) % 4294967296, i)"),
            false => format!(
                "lpad(to_hex((i * 2654435761) % 4294967296), 8, '0') || '-{kind}-5000-8000-' || lpad(to_hex(i), 12, '0')"
            ),
        };
        let at = format!("{} + (i - {}) * {STEP}", self.begin, self.first);
        let http = "CASE WHEN i % 100 = 7 THEN (CASE i % 300 WHEN 7 THEN 500 WHEN 107 THEN 404 ELSE 999 END) \
            WHEN i % 1000 = 11 THEN 503 ELSE 200 END";
        let status = "CASE WHEN i % 100 = 7 THEN 'failed' WHEN i % 1000 = 11 THEN 'retrying' WHEN i % 1000 = 13 THEN 'held' \
            ELSE 'succeeded' END";
        let succeeded = "CASE WHEN i % 100 = 7 OR i % 1000 IN (11, 13) THEN 0 ELSE 1 END";
        let kind = "CASE WHEN i % 300 = 207 THEN 'timeout' ELSE '' END";
        let event_type = "CASE WHEN i % 100000 = 5 THEN 'rare.type' WHEN i % 3 = 0 THEN 'email.open' \
            WHEN i % 3 = 1 THEN 'email.reply' ELSE 'lead.created' END";
        let to = format!("CASE WHEN i % 2 = 1 THEN '{destination}' ELSE 'dst_' || (i % 97) END");
        let interface = "CASE WHEN i % 50000 = 3 THEN 'rare' ELSE 'form' END";
        let response = match sqlite {
            true => format!("printf('%0{}d', i)", self.response),
            false => format!("lpad(i::TEXT, {}, '0')", self.response),
        };
        let mut inserts = vec![
            format!(
                "INSERT INTO leads (account, lead, interface, client, created_at, updated_at, events, deliveries, failed, \
                 http_status, last_started_at, last_attempt) SELECT '{ACCOUNT}', 'lead-' || i, {interface}, '', {at}, {at}, \
                 1, 1, CASE WHEN i % 100 = 7 THEN 1 ELSE 0 END, {http}, {at}, {} FROM numbers",
                id("000a")
            ),
            format!(
                "INSERT INTO deliveries (delivery, account, interface, client, destination, event_id, event_type, lead, \
                 lead_sequence, status, attempts, round, requested_at, next_attempt_at, failure, updated_at, at_succeeded, \
                 at_attempts, at_round, at_hold, at_phase, at_time, at_tie, last_id, last_attempt, last_started_at, \
                 last_duration, last_method, last_url, last_status, last_response, last_error_kind, last_deactivated) \
                 SELECT {}, '{ACCOUNT}', {interface}, '', {to}, 'event-' || i, {event_type}, 'lead-' || i, i, {status}, 1, 0, \
                 {at}, 0, CASE WHEN i % 100 = 7 THEN 'exhausted' ELSE '' END, {at}, {succeeded}, 1, 0, 0, 2, {at}, '00', {}, 1, {at}, \
                 1000, 'POST', 'https://crm.example/hook', {http}, {response}, {kind}, '' FROM numbers",
                id("000d"),
                id("000a")
            ),
            format!(
                "INSERT INTO attempts (attempt, delivery, number, round, started_at, duration, method, url, status, \
                 response, error_kind, destination, deactivated, sequence, verdict, next_attempt_at) SELECT {}, {}, 1, 0, \
                 {at}, 1000, 'POST', 'https://crm.example/hook', {http}, {response}, {kind}, {to}, '', i, '', 0 FROM numbers",
                id("000a"),
                id("000d")
            ),
        ];
        inserts.extend(self.inserts_beside(&at, &id("000d")));
        inserts
    }

    fn inserts_beside(self, at: &str, delivery: &str) -> [String; 2] {
        [
            format!(
                "INSERT INTO lead_events (account, event_id, lead, interface, client, event_type, received_at, sequence) \
                 SELECT '{ACCOUNT}', 'event-' || i, 'lead-' || i, 'form', '', 'lead.created', {at}, i FROM numbers"
            ),
            format!(
                "INSERT INTO lead_log (fact, account, lead, at, entry, detail, event_id, delivery, destination) \
                 SELECT 'held/' || {delivery}, '{ACCOUNT}', 'lead-' || i, {at}, 'held', '', 'event-' || i, {delivery}, 'dst' \
                 FROM numbers"
            ),
        ]
    }
}

pub(crate) async fn connected(url: &str) -> anyhow::Result<AnyConnection> {
    install_default_drivers();
    AnyConnection::connect(url).await.context("the database of the system under test")
}

pub(crate) async fn run(connection: &mut AnyConnection, sql: &str) -> anyhow::Result<()> {
    // The SQL consists of constants and an id that the server made.
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?;
    Ok(())
}
