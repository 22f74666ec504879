//! What a read model of an older version holds is there after its tables were changed, in both databases.

use domain::{AccountId, DeliveryId, LeadId};

use super::{MIGRATIONS, OF_SQLITE, Store, install_default_drivers, pool};

/// The last version before attempts were found by their deliveries.
const BEFORE: i64 = 12;
const DELIVERY: &str = "00000000-0000-0000-0000-000000000001";
const ATTEMPT: &str = "00000000-0000-0000-0000-000000000002";

#[tokio::test]
async fn attempts_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("older.db").display());
    for url in [sqlite, testkit::postgres::database().await] {
        install_default_drivers();
        let older = pool(&url, 1, if url.starts_with("sqlite:") { &[OF_SQLITE] } else { &[] }).await.unwrap();
        MIGRATIONS.run_to(BEFORE, &older).await.unwrap();
        for row in rows() {
            sqlx::raw_sql(sqlx::AssertSqlSafe(row)).execute(&older).await.unwrap();
        }
        older.close().await;

        let store = Store::connect(&url).await.unwrap();
        let attempts = store.attempts(DeliveryId::parse(DELIVERY).unwrap()).await.unwrap();
        let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
        assert_eq!((attempt.round, attempt.attempt.attempt, attempt.attempt.outcome.status_code()), (1, 3, 503));
        assert_eq!(attempt.attempt.attempt_id.to_string(), ATTEMPT);
        let (account, lead) = (AccountId::parse("acme").unwrap(), LeadId::parse("ada").unwrap());
        assert_eq!(store.lead(&account, &lead).await.unwrap().unwrap().webhook_response, "come back later");
    }
}

fn rows() -> [String; 3] {
    [
        "INSERT INTO leads (account, lead, interface, client, created_at, updated_at, last_attempt) \
         VALUES ('acme', 'ada', 'form', '', 1, 2, '{attempt}')",
        "INSERT INTO deliveries VALUES ('{delivery}', 'acme', 'form', '', 'dst', 'e', 'lead.created', 'ada', 1, 'pending', \
         1, 1, 1, 9, '', 2, 0, 1, 1, 0, 0, 2, '0', '', 0, 0, 0, '', '', 0, '', '', '')",
        "INSERT INTO attempts (attempt, delivery, number, round, started_at, duration, method, url, status, response, \
         error_kind) VALUES ('{attempt}', '{delivery}', 3, 1, 2, 5, 'POST', 'https://x', 503, 'come back later', '')",
    ]
    .map(|row| row.replace("{delivery}", DELIVERY).replace("{attempt}", ATTEMPT))
}
