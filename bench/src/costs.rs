//! The cost of exchanges and of metrics: floods with and without them.
//!
//! Systems with and without take turns, because the speed of a machine varies.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{
    dataset::bytes_on_disk,
    flood::{Flooded, Over, flood},
    statistics::median,
    system::System,
    table::{head, row},
    usage::rounded,
};

/// The number of pairs of floods. Their order alternates.
const PAIRS: usize = 5;
const DESTINATIONS: usize = 100;

/// What a flood is measured with and without, and the variable that switches it off.
#[derive(Clone, Copy)]
pub(crate) struct Feature {
    name: &'static str,
    off: (&'static str, &'static str),
}

pub(crate) const EXCHANGES: Feature = Feature { name: "exchanges", off: ("LEADLINE_KEEP_EXCHANGES", "false") };
pub(crate) const METRICS: Feature = Feature { name: "metrics", off: ("OTEL_METRICS_EXPORTER", "none") };

pub(crate) async fn measure(program: &Path, feature: Feature, leads: usize) -> anyhow::Result<Value> {
    let Feature { name, off } = feature;
    head(&format!("Cost of {name}: {leads} leads, with and without"));
    let (mut shares, mut costs, mut bytes) = (vec![], vec![], [(0.0, 0.0); 2]);
    for n in 0..PAIRS {
        let mut pair = [(0.0, 0.0); 2];
        for kind in if n % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (flooded, on_disk) = one(program, [&[off][..], &[]][kind], leads).await?;
            pair[kind] = (flooded.delivered_per_second, flooded.used.cpu());
            bytes[kind] = on_disk;
            row(&format!("{} {name}", ["without", "with"][kind]), &flooded.text());
        }
        shares.push(pair[1].0 / pair[0].0);
        costs.push(pair[1].1 / pair[0].1);
    }
    let json = json!({
        "throughput_share": rounded(median(shares), 3),
        "cpu_share": rounded(median(costs), 3),
        "bytes_per_delivery": {
            "broker": rounded(bytes[1].0 - bytes[0].0, 0),
            "read_model": rounded(bytes[1].1 - bytes[0].1, 0),
        },
    });
    row(
        &format!("with {name}, relative to without"),
        &format!("{} of the throughput, {} of the CPU", json["throughput_share"], json["cpu_share"]),
    );
    row("on disk, added per delivery", &json["bytes_per_delivery"].to_string());
    Ok(json)
}

/// A flood in a new system. Also returns the bytes of a delivery on disk: in the broker, and in the read model.
async fn one(program: &Path, env: &[(&str, &str)], leads: usize) -> anyhow::Result<(Flooded, (f64, f64))> {
    let system = System::start_with(program, env).await?;
    let flooded = flood(&system.api, system.processes(), DESTINATIONS, Over::Http, leads).await?;
    let (streams, model) = bytes_on_disk(&system);
    let each = |bytes: u64| bytes as f64 / flooded.published as f64;
    let on_disk = (each(streams.iter().map(|(_, bytes)| bytes).sum()), each(model));
    drop(system.stop().await);
    Ok((flooded, on_disk))
}
