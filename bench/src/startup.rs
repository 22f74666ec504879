//! Start-up of a system with many stored leads: the time until it is ready, and the time until it delivers a lead that
//! is published then. Both are measured after a clean stop and after a kill under load.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::harness::{
    dataset::Stored,
    load::{self, Target},
    receiver::{Answers, Receiver},
    system::System,
    table::{head, row},
    usage::{Watch, rounded},
};

/// How long a delivery may take after the start.
const DELIVERED: Duration = Duration::from_secs(120);
/// Leads in work at the kill.
const IN_FLIGHT: usize = 2_000;
const CONNECTIONS: usize = 4;
const BATCH: usize = 200;

/// Measures a start after a stop, and one after a kill.
pub(crate) async fn measure(program: &Path, stored: Stored) -> anyhow::Result<Value> {
    head(&format!("Start-up: with {} leads and their deliveries stored", stored.leads));
    let Stored { system, interfaces, receiver, .. } = stored;
    // A destination for the probing lead alone. Both receivers outlive the system.
    let probe = Receiver::start(Answers::Well).await?;
    let probing = system.api.interfaces("probe", 1, &probe.url()).await?;

    let system = System::start_in(system.stop().await, program, &[]).await?;
    let stopped = started(&system, &probe, &probing, "after a clean stop").await?;

    receiver.take();
    load::publish(&Target::system(&system.api, &interfaces), IN_FLIGHT, CONNECTIONS, BATCH).await?;
    let home = system.kill().await;
    let sent = receiver.count();
    let system = System::start_in(home, program, &[]).await?;
    let mut killed = started(&system, &probe, &probing, "after a kill").await?;
    let received = receiver.wait_for(IN_FLIGHT as u64, DELIVERED).await;
    ensure!(received >= IN_FLIGHT as u64, "{received} of {IN_FLIGHT} leads in work at the kill arrived");
    killed["in_flight"] = (IN_FLIGHT as u64).saturating_sub(sent).into();
    drop(system.stop().await);
    Ok(json!({"after_stop": stopped, "after_kill": killed}))
}

/// Measures a start. The probing lead is published once the system is ready.
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
