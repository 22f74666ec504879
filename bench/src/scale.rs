//! The effect of more dispatchers: each service is a process, all on one broker and one machine.
//!
//! On a machine with few cores throughput cannot rise with the number of dispatchers, but the processor time of a
//! delivery has to stay the same. It is reported per process, for capacity plans of several machines.

use std::path::Path;

use serde_json::Value;

use crate::harness::{
    cluster::Apart,
    flood::{Over, flood},
    table::{head, row},
};

/// The numbers of dispatchers.
const DISPATCHERS: [usize; 3] = [1, 2, 4];
/// The number of destinations.
const DESTINATIONS: usize = 100;

/// Floods each number of dispatchers.
pub(crate) async fn measure(program: &Path, leads: usize) -> anyhow::Result<Value> {
    head(&format!("Scale out: {leads} leads to {DESTINATIONS} destinations, each service a process"));
    let mut results = vec![];
    for dispatchers in DISPATCHERS {
        let system = Apart::start(program, dispatchers).await?;
        let flooded = flood(&system.api, system.processes(), DESTINATIONS, Over::Http, leads).await?;
        row(&format!("{dispatchers} dispatcher(s)"), &flooded.text());
        let mut json = flooded.json();
        json["dispatchers"] = dispatchers.into();
        results.push(json);
    }
    Ok(results.into())
}
