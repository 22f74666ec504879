//! The connections that the services of the read model share.

use journal::{Journal, RegistryView};
use runtime::Platform;

use crate::{options::Options, repairs::Repairs, store::Store};

/// The facts, the read model, and the configuration. Services of one process share them, so a flush hint of one service
/// reaches the projector of another.
#[derive(Debug, Clone)]
pub struct Sources {
    pub journal: Journal,
    pub store: Store,
    pub registry: RegistryView,
    pub repairs: Repairs,
}

impl Sources {
    /// Connects to the database and reads the configuration.
    ///
    /// # Errors
    /// Fails if the configuration cannot be read from the broker, or the database cannot be used.
    pub async fn connect(options: &Options, journal: &Journal, platform: &Platform) -> anyhow::Result<Self> {
        let store = options.connect().await?;
        let registry = RegistryView::follow(journal, platform).await?;
        Ok(Self { journal: journal.clone(), store, registry, repairs: Repairs::default() })
    }
}
