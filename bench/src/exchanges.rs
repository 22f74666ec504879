//! The cost of keeping the exchange of each attempt, in the flood and on disk.
//!
//! Systems that keep exchanges and systems that do not take turns, because the speed of a machine varies.

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

pub(crate) async fn measure(program: &Path, leads: usize) -> anyhow::Result<Value> {
    head(&format!("Exchanges: {leads} leads, with and without the exchange of each attempt"));
    let (mut shares, mut costs, mut bytes) = (vec![], vec![], [(0.0, 0.0); 2]);
    for n in 0..PAIRS {
        let mut pair = [(0.0, 0.0); 2];
        for kind in if n % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (flooded, on_disk) = one(program, leads, kind == 1).await?;
            pair[kind] = (flooded.delivered_per_second, flooded.used.cpu());
            bytes[kind] = on_disk;
            row(["without exchanges", "with exchanges"][kind], &flooded.text());
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
        "with exchanges, of those without",
        &format!("{} of the throughput, {} of the CPU", json["throughput_share"], json["cpu_share"]),
    );
    row("on disk, more for each", &json["bytes_per_delivery"].to_string());
    Ok(json)
}

/// A flood in a new system. Also returns the bytes of a delivery on disk: in the broker, and in the read model.
async fn one(program: &Path, leads: usize, keeps: bool) -> anyhow::Result<(Flooded, (f64, f64))> {
    let system = System::start(program, &["--keep-exchanges", if keeps { "true" } else { "false" }]).await?;
    let flooded = flood(&system.api, system.processes(), DESTINATIONS, Over::Http, leads).await?;
    let (streams, model) = bytes_on_disk(&system);
    let each = |bytes: u64| bytes as f64 / flooded.published as f64;
    let on_disk = (each(streams.iter().map(|(_, bytes)| bytes).sum()), each(model));
    drop(system.stop().await);
    Ok((flooded, on_disk))
}
