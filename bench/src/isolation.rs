//! What sick destinations cost the healthy ones, beyond what as many well ones cost them.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    latency::percentiles,
    load::{self, Target},
    receiver::{Answers, Receiver},
    system::System,
    table::{head, row},
};

/// How many leads a second each half of the destinations gets.
const RATE: u32 = 400;
/// How long what was published before it is measured may be under way.
const SETTLED: Duration = Duration::from_secs(240);
/// What is late counts as late, and what comes later than this after the end not at all.
const LATE: Duration = Duration::from_secs(1);

/// What the healthy half sees: leads a second that reach it while they are published, and p99 in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    per_second: f64,
    p99_ms: f64,
}

/// One of two, then fifty of a hundred destinations hang for 15 s each. The same healthy half with nobody beside it, and
/// beside a half that gets the same load and is well, are measured first.
pub(crate) async fn measure(program: &Path, lasts: Duration) -> anyhow::Result<Value> {
    head(&format!("Isolation: {RATE} leads / s to the healthy half, as many to the other half"));
    let mut results = vec![];
    for half in [1, 50] {
        let alone = run(program, lasts, half, None).await?;
        let all_well = run(program, lasts, half, Some(Answers::Well)).await?;
        let hanging = run(program, lasts, half, Some(Answers::Never)).await?;
        for (name, seen) in [("the healthy alone", alone), ("all well", all_well), ("half of them hang", hanging)] {
            let text = format!("healthy get {:>4.0} / s, p99 {:.2} ms", seen.per_second, seen.p99_ms);
            row(&format!("{} destinations, {name}", 2 * half), &text);
        }
        let share = hanging.per_second / all_well.per_second;
        let ratio = hanging.p99_ms / all_well.p99_ms;
        let text = format!("{:.1} % of the throughput, {ratio:.2} times the p99 of all well", share * 100.0);
        row("  so hanging costs the healthy", &text);
        results.push(json!({
            "healthy": half, "hanging": half,
            "throughput_share": share, "p99_ratio": ratio,
            "throughput_share_of_alone": hanging.per_second / alone.per_second,
            "p99_ratio_to_alone": hanging.p99_ms / alone.p99_ms,
            "alone": shown(alone), "beside_as_many_well": shown(all_well), "beside_hanging": shown(hanging),
        }));
    }
    Ok(results.into())
}

/// So many healthy destinations, and as many others that answer so, if any.
async fn run(program: &Path, lasts: Duration, half: usize, others: Option<Answers>) -> anyhow::Result<Seen> {
    let system = System::start(program, &[]).await?;
    let well = Receiver::start(Answers::Well).await?;
    let interfaces = system.api.interfaces("well", half, &well.url()).await?;
    let to_well = Target::system(&system.api, &interfaces);
    let to_others = match others {
        None => None,
        Some(answers) => {
            let other = Receiver::start(answers).await?;
            let interfaces = system.api.interfaces("other", half, &other.url()).await?;
            Some(Target::system(&system.api, &interfaces))
        }
    };
    let warm = load::publish_at(&to_well, RATE, Duration::from_secs(2)).await?;
    well.wait_for(warm, SETTLED).await;
    well.take();
    let beside = async {
        match &to_others {
            Some(target) => load::publish_at(target, RATE, lasts).await.map(drop),
            None => Ok(()),
        }
    };
    let measured = async {
        let published = load::publish_at(&to_well, RATE, lasts).await?;
        let received = well.wait_for(published, LATE).await;
        let p99_ms = percentiles(&mut well.take())[2];
        anyhow::Ok(Seen { per_second: received as f64 / lasts.as_secs_f64(), p99_ms })
    };
    let (seen, sent) = tokio::join!(measured, beside);
    sent?;
    drop(system.stop().await);
    seen
}

fn shown(seen: Seen) -> Value {
    json!({"per_second": seen.per_second, "p99_ms": seen.p99_ms})
}
