//! How long after the kill of a process everything is delivered that was accepted before.
//!
//! Each service is a process of its own, and leads come at a steady rate. One process is killed, publishing stops, and the
//! process is started again at once. What it had in hand, the broker hands out again when it was not acknowledged for
//! `journal::ACK_WAIT`.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    apart::{Apart, BROKER},
    load::{self, Target},
    receiver::{Answers, Receiver},
    table::{head, row},
    usage::rounded,
};

/// What is killed.
const VICTIMS: [&str; 5] = ["ingest", "dispatcher 1", "notifier", "query", BROKER];
/// How many leads a second come in, and for how long before the kill.
const RATE: u32 = 1_000;
const BEFORE: Duration = Duration::from_secs(5);
/// How long it may take until everything has arrived.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Kills each once.
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
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            executed.elapsed()
        };
        let (ready, arrived) = tokio::join!(restarting, arriving);
        let (ready, left) = (ready?, receiver.missing(&accepted));
        ensure!(left == 0, "{left} of {} leads did not arrive within {PATIENCE:?} after {victim} died", accepted.len());
        let (ready, arrived) = (ready.as_secs_f64(), arrived.as_secs_f64());
        let text =
            format!("ready after {ready:.2} s, all {} there after {arrived:.2} s ({missing} were not)", accepted.len());
        row(victim, &text);
        results.push(json!({
            "killed": victim, "accepted": accepted.len(), "missing": missing, "ready_after_s": rounded(ready, 3),
            "all_delivered_after_s": rounded(arrived, 3),
        }));
    }
    Ok(results.into())
}
