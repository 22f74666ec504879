//! What failing destinations cost the healthy ones.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{
    load::{self, Target},
    receiver::{Answers, Receiver},
    statistics::percentiles,
    system::System,
    table::{head, row},
};

/// Leads per second for each half of the interfaces.
const RATE: u32 = 400;
/// The load before the measurement, because a new system takes its working memory first.
const WARM_UP: Duration = Duration::from_secs(10);
/// Rounds of all variants in turn. The report shows medians.
const ROUNDS: usize = 5;
/// How long leads of the warm-up may take to arrive.
const SETTLED: Duration = Duration::from_secs(240);
/// Leads that arrive later than this after the end of the load do not count.
const LATE: Duration = Duration::from_secs(1);

/// The healthy half: leads per second that arrive while the load lasts, and p99 in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    per_second: f64,
    p99_ms: f64,
}

/// The destinations of the other half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// There are none; the events are only stored.
    NotWanted,
    /// They accept all events.
    Well,
    /// They accept all events of the warm-up, and then hang for longer than the timeout.
    Hang,
}

/// One of two, then fifty of a hundred destinations begin to hang: each request times out after 15 s. The same healthy
/// half is measured without the other half, and while the other half is healthy.
pub(crate) async fn measure(program: &Path, lasts: Duration) -> anyhow::Result<Value> {
    head(&format!("Isolation: {RATE} leads / s to the healthy half, as many to the other half; medians of {ROUNDS}"));
    let mut results = vec![];
    for half in [1, 50] {
        let (mut without, mut well, mut hanging) = (vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            without.push(run(program, lasts, half, Others::NotWanted).await?);
            well.push(run(program, lasts, half, Others::Well).await?);
            hanging.push(run(program, lasts, half, Others::Hang).await?);
        }
        let (without, well, hanging) = (median(&without), median(&well), median(&hanging));
        for (name, seen) in [("without the others", without), ("all well", well), ("half of them hang", hanging)] {
            let text = format!("healthy get {:>4.0} / s, p99 {:.2} ms", seen.per_second, seen.p99_ms);
            row(&format!("{} destinations, {name}", 2 * half), &text);
        }
        let share = hanging.per_second / without.per_second;
        let (ratio, ratio_to_well) = (hanging.p99_ms / without.p99_ms, hanging.p99_ms / well.p99_ms);
        let text = format!(
            "{:.1} % of the throughput, {ratio:.2} times the p99 without them, {ratio_to_well:.2} times that of all well",
            share * 100.0
        );
        row(" the healthy, beside hanging ones", &text);
        results.push(json!({
            "healthy": half, "hanging": half, "throughput_share": share,
            "p99_ratio": ratio, "p99_ratio_to_all_well": ratio_to_well,
            "without_the_others": shown(without), "beside_as_many_well": shown(well), "beside_hanging": shown(hanging),
        }));
    }
    Ok(results.into())
}

/// Measures `half` healthy destinations beside the other half.
async fn run(program: &Path, lasts: Duration, half: usize, others: Others) -> anyhow::Result<Seen> {
    let system = System::start(program, &[]).await?;
    let (well, other) = (Receiver::start(Answers::Well).await?, Receiver::start(Answers::Well).await?);
    let interfaces = system.api.interfaces("well", half, &well.url()).await?;
    let to_well = Target::system(&system.api, &interfaces);
    let interfaces = match others {
        Others::NotWanted => system.api.unwanted("other", half).await?,
        Others::Well | Others::Hang => system.api.interfaces("other", half, &other.url()).await?,
    };
    let to_others = Target::system(&system.api, &interfaces);
    let publish = async |time| {
        let both = tokio::join!(load::publish_at(&to_well, RATE, time), load::publish_at(&to_others, RATE, time));
        both.1?;
        both.0
    };
    let warm = publish(WARM_UP).await?;
    well.wait_for(warm, SETTLED).await;
    well.take();
    if others == Others::Hang {
        other.answer(Answers::Never);
    }
    let published = publish(lasts).await?;
    let received = well.wait_for(published, LATE).await;
    let p99_ms = percentiles(&mut well.take())[2];
    drop(system.stop().await);
    Ok(Seen { per_second: received as f64 / lasts.as_secs_f64(), p99_ms })
}

/// The median of each figure.
fn median(seen: &[Seen]) -> Seen {
    let median = |figure: fn(&Seen) -> f64| {
        let mut figures: Vec<f64> = seen.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Seen { per_second: median(|seen| seen.per_second), p99_ms: median(|seen| seen.p99_ms) }
}

fn shown(seen: Seen) -> Value {
    json!({"per_second": seen.per_second, "p99_ms": seen.p99_ms})
}
