//! The services that share a read model: query, and maintenance beside it.

use access::Sessions;
use clap::Args;
use crypto::MasterKey;
use domain::Guard;
use journal::Journal;
use read_model::Sources;
use runtime::{Platform, Service};

/// The options of query, and of maintenance in the same process.
#[derive(Debug, Args)]
pub(crate) struct ReadSideOptions {
    #[command(flatten)]
    pub(crate) query: query::Options,
    #[command(flatten)]
    maintenance: maintenance::Options,
}

impl ReadSideOptions {
    /// Starts query, and maintenance if this process runs it.
    pub(crate) async fn start(
        &self,
        with_maintenance: bool,
        guard: Guard,
        key: MasterKey,
        sessions: Sessions,
        platform: &Platform,
        journal: &Journal,
    ) -> anyhow::Result<Vec<Service>> {
        let sources = Sources::connect(&self.query.read_model, journal, platform).await?;
        let mut services = vec![query::start(&self.query, guard, key, sessions, &sources, platform).await?];
        if with_maintenance {
            services.push(maintenance::start(self.maintenance, self.query.read_model.history, &sources, platform));
        }
        Ok(services)
    }
}
