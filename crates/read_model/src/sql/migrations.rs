//! The migrations of the read model.
//!
//! They are listed in a table here, and a test compares the table with the folder `migrations`. The macro of sqlx,
//! which reads the folder, would compile SQLite and both drivers a second time for itself.

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

/// Version, description and statements of each file. sqlx stores them in the database; they never change.
const MIGRATIONS: [(i64, &str, &str); 16] = [
    (1, "read model", include_str!("../../migrations/0001_read_model.sql")),
    (3, "audit", include_str!("../../migrations/0003_audit.sql")),
    (4, "pages", include_str!("../../migrations/0004_pages.sql")),
    (5, "jobs", include_str!("../../migrations/0005_jobs.sql")),
    (10, "anonymised", include_str!("../../migrations/0010_anonymised.sql")),
    (11, "lead log", include_str!("../../migrations/0011_lead_log.sql")),
    (12, "put off", include_str!("../../migrations/0012_put_off.sql")),
    (13, "attempts of deliveries", include_str!("../../migrations/0013_attempts_of_deliveries.sql")),
    (14, "pruning", include_str!("../../migrations/0014_pruning.sql")),
    (15, "resends", include_str!("../../migrations/0015_resends.sql")),
    (16, "problems", include_str!("../../migrations/0016_problems.sql")),
    (17, "exchanges", include_str!("../../migrations/0017_exchanges.sql")),
    (18, "lead values", include_str!("../../migrations/0018_lead_values.sql")),
    (19, "traces", include_str!("../../migrations/0019_traces.sql")),
    (20, "answers", include_str!("../../migrations/0020_answers.sql")),
    (21, "problems of all accounts", include_str!("../../migrations/0021_problems_of_all_accounts.sql")),
];

/// The lock of sqlx is off: it belongs to a session, which a pooler does not keep. `connect.rs` locks in a transaction.
pub(crate) fn migrations() -> Migrator {
    let migration = |(version, description, statements): (i64, &'static str, &'static str)| {
        Migration::new(version, description.into(), MigrationType::Simple, statements.into_sql_str(), false)
    };
    let mut migrations = Migrator::with_migrations(MIGRATIONS.map(migration).into());
    migrations.set_locking(false);
    migrations
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn the_table_has_every_file_of_the_folder() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
        let files = Migrator::new(folder).await.unwrap();
        let facts = |migrator: &Migrator| -> Vec<_> {
            let facts = |migration: &Migration| {
                (migration.version, migration.description.to_string(), migration.checksum.to_vec(), migration.no_tx)
            };
            migrator.iter().map(facts).collect()
        };
        assert_eq!(facts(&migrations()), facts(&files));
    }
}
