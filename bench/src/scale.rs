//! What more dispatchers do: each service is a process, all on one broker and, here, on one machine.
//!
//! On a machine with few cores throughput cannot rise with them; what has to stay the same then is the processor time of a
//! delivery. It is told for each process, which is what a plan for many machines is made of.

use std::path::Path;

use serde_json::Value;

use crate::{
    apart::Apart,
    flood::{Flood, Over},
    receiver::{Answers, Receiver},
    table::{head, row},
};

/// How many dispatchers.
const DISPATCHERS: [usize; 3] = [1, 2, 4];
/// To how many destinations.
const DESTINATIONS: usize = 100;

/// A flood through each.
pub(crate) async fn measure(program: &Path, leads: usize) -> anyhow::Result<Value> {
    head(&format!("Scale out: {leads} leads to {DESTINATIONS} destinations, services in processes of their own"));
    let mut results = vec![];
    for dispatchers in DISPATCHERS {
        let system = Apart::start(program, dispatchers).await?;
        let receiver = Receiver::start(Answers::Well).await?;
        let interfaces = system.api.interfaces("i", DESTINATIONS, &receiver.url()).await?;
        let flood = Flood {
            api: &system.api,
            processes: system.processes(),
            interfaces: &interfaces,
            receiver: &receiver,
            over: Over::Http,
        };
        let flooded = flood.run(leads).await?;
        row(&format!("{dispatchers} dispatcher(s)"), &flooded.text());
        let mut json = flooded.json();
        json["dispatchers"] = dispatchers.into();
        results.push(json);
    }
    Ok(results.into())
}
