//! The time from the kill of a process until every accepted lead is delivered.
//!
//! Each service is a separate process, and leads come at a fixed rate. One process is killed, publishing stops, and the
//! process starts again at once. After `journal::ACK_WAIT` the broker redelivers the messages that the process had not
//! acknowledged.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    cluster::{Apart, BROKER},
    load::{self, Target},
    receiver::{Answers, Receiver},
    table::{head, row},
    usage::rounded,
};

/// The processes to kill, in turn.
const VICTIMS: [&str; 5] = ["ingest", "dispatcher 1", "notifier", "query", BROKER];
/// Leads per second, and the time of the load before the kill.
const RATE: u32 = 1_000;
const BEFORE: Duration = Duration::from_secs(5);
/// How long the accepted leads may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// The interval at which arrivals are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Kills each process once, in a new system each time.
pub(crate) async fn measure(program: &Path) -> anyhow::Result<Value> {
    head(&format!("Recovery: one process is killed at {RATE} leads a second, and started again"));
    let mut results = vec![];
    for victim in VICTIMS {
        let mut system = Apart::start(program, 1).await?;
        let receiver = Receiver::start(Answers::Well).await?;
        let target = Target::system(&system.api, &system.api.interfaces("i", 1, &receiver.url()).await?);
        let stop = CancellationToken::new();
        let (accepted, killed) = tokio::join!(load::publish_until(&target, RATE, &stop), async {
            tokio::time::sleep(BEFORE).await;
            let killed = system.kill(victim);
            stop.cancel();
            killed
        });
        killed?;
        let accepted = accepted?.sent_at;
        let (missing, executed) = (receiver.missing(&accepted), Instant::now());
        let restarting = async {
            system.restart(victim).await?;
            anyhow::Ok(executed.elapsed())
        };
        let arriving = async {
            while receiver.missing(&accepted) > 0 && executed.elapsed() < PATIENCE {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            executed.elapsed()
        };
        let (ready, arrived) = tokio::join!(restarting, arriving);
        let (ready, left) = (ready?, receiver.missing(&accepted));
        ensure!(left == 0, "{left} of {} leads did not arrive within {PATIENCE:?} after {victim} died", accepted.len());
        let (ready, arrived) = (ready.as_secs_f64(), arrived.as_secs_f64());
        let text = format!(
            "ready after {ready:.2} s, all {} arrived after {arrived:.2} s ({missing} were missing)",
            accepted.len()
        );
        row(victim, &text);
        results.push(json!({
            "killed": victim, "accepted": accepted.len(), "missing": missing, "ready_after_s": rounded(ready, 3),
            "all_delivered_after_s": rounded(arrived, 3),
        }));
    }
    Ok(results.into())
}
