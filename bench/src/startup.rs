//! How long a system with much stored takes from its execution until it is ready, and until a lead that is published then is
//! delivered; after a stop in good order, and after a kill in the middle of work.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{
    load::{self, Target},
    receiver::{Answers, Receiver},
    stored::Stored,
    system::System,
    table::{head, row},
    usage::{Watch, rounded},
};

/// How long the lead may take that is published after the start.
const DELIVERED: Duration = Duration::from_secs(120);
/// Leads that are under way when it is killed.
const UNDER_WAY: usize = 2_000;
const CONNECTIONS: usize = 4;
const BATCH: usize = 200;

/// Stops and kills it.
pub(crate) async fn measure(program: &Path, stored: Stored) -> anyhow::Result<Value> {
    head(&format!("Start-up: with {} leads and their deliveries stored", stored.leads));
    let Stored { system, interfaces, receiver, .. } = stored;
    // One destination that nobody else publishes for; its receiver outlives the system, as the other does.
    let probe = Receiver::start(Answers::Well).await?;
    let probing = system.api.interfaces("probe", 1, &probe.url()).await?;

    let system = System::start_in(system.stop().await, program, &[]).await?;
    let stopped = started(&system, &probe, &probing, "after a clean stop").await?;

    receiver.take();
    load::publish(&Target::system(&system.api, &interfaces), UNDER_WAY, CONNECTIONS, BATCH).await?;
    let home = system.kill().await;
    let sent = receiver.count();
    let system = System::start_in(home, program, &[]).await?;
    let mut killed = started(&system, &probe, &probing, "after a kill").await?;
    let received = receiver.wait_for(UNDER_WAY as u64, DELIVERED).await;
    ensure!(received >= UNDER_WAY as u64, "{received} of {UNDER_WAY} leads arrived that were under way");
    killed["under_way"] = (UNDER_WAY as u64).saturating_sub(sent).into();
    drop(system.stop().await);
    Ok(json!({"after_stop": stopped, "after_kill": killed}))
}

/// What a start took. The lead is published once it is ready.
async fn started(system: &System, probe: &Receiver, probing: &[String], name: &str) -> anyhow::Result<Value> {
    let watch = Watch::start(system.processes());
    probe.take();
    load::publish(&Target::system(&system.api, probing), 1, 1, 1).await?;
    ensure!(probe.wait_for(1, DELIVERED).await >= 1, "{name}, a lead was not delivered within {DELIVERED:?}");
    let (ready, delivered) = (system.ready_after.as_secs_f64(), system.executed.elapsed().as_secs_f64());
    let used = watch.end();
    let text = format!("ready after {ready:.2} s, first delivery after {delivered:.2} s, {:.0} MiB", used.peak());
    row(name, &text);
    Ok(json!({
        "ready_after_s": rounded(ready, 3), "first_delivery_after_s": rounded(delivered, 3),
        "memory_mib": rounded(used.peak(), 1),
    }))
}
