//! Leases in the database, for work on a database that one process at a time does. Processes that share a PostgreSQL
//! database also share its leases. A process with an SQLite file of its own has leases of its own.
//!
//! Two processes whose clocks differ by more than the duration of a lease may both hold it. So the work must be
//! harmless when it is done twice.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{error::StoreError, sql::Statement, store::Store};

impl Store {
    /// Takes a free lease, or renews it. Returns whether this process holds it now.
    pub async fn claim(&self, lease: &str, holder: Uuid, lasts: Duration) -> Result<bool, StoreError> {
        let now = Timestamp::now();
        let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
        let mut claim = Statement::new("INSERT INTO leases (name, holder, held_until) VALUES (");
        claim.push("?, ?, ?)", [lease.into(), holder.to_string().into(), until.into()]);
        claim.push(
            " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until \
             WHERE leases.holder = excluded.holder OR leases.held_until < ? RETURNING holder",
            [now.into()],
        );
        let mut transaction = self.begin().await?;
        let claimed = claim.query().fetch_optional(&mut *transaction).await?.is_some();
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Releases a lease, so that another process can claim it at once.
    pub async fn release(&self, lease: &str, holder: Uuid) -> Result<(), StoreError> {
        let mut release = Statement::new("DELETE FROM leases");
        release.push(" WHERE name = ? AND holder = ?", [lease.into(), holder.to_string().into()]);
        self.execute(release).await
    }
}
