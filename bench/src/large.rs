//! Measurements that depend on the number of stored leads: throughput, memory, rebuild and start. Storing a million
//! leads takes minutes, so all of them share one system.

use std::path::Path;

use crate::{
    harness::{
        dataset::Stored,
        receiver::{Answers, Receiver},
        report::Parts,
        system::System,
        table::head,
    },
    rebuild, startup,
};

/// The number of destinations.
const DESTINATIONS: usize = 10;

/// The wanted measurements and their sizes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) growth: bool,
    pub(crate) rebuild: bool,
    pub(crate) startup: bool,
    /// Stored leads, and leads of a flood.
    pub(crate) stored: usize,
    pub(crate) leads: usize,
}

/// Stores the leads and runs the wanted measurements.
pub(crate) async fn measure(program: &Path, wanted: Wanted, parts: &mut Parts) -> anyhow::Result<()> {
    let system = System::start(program, &[]).await?;
    let receiver = Receiver::start(Answers::Well).await?;
    let interfaces = system.api.interfaces("i", DESTINATIONS, &receiver.url()).await?;
    let mut stored = Stored { system, interfaces, receiver, leads: 0 };
    head(&format!("Stored: {} leads with their deliveries", wanted.stored));
    if wanted.growth {
        parts.add("growth_stored", stored.growth(wanted.stored, wanted.leads).await?);
    } else {
        stored.fill_all(wanted.stored).await?;
        parts.begin();
    }
    if wanted.rebuild {
        parts.add("rebuild", rebuild::measure(program, &stored).await?);
    }
    if wanted.startup {
        parts.add("startup", startup::measure(program, stored).await?);
    } else {
        drop(stored.system.stop().await);
    }
    Ok(())
}
