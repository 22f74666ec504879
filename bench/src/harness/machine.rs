//! Figures of the operating system about processes and the machine (proc(5)).

use std::fs;

use serde_json::{Value, json};

/// Ticks of processor time per second; the same on every current Linux.
const TICKS: f64 = 100.0;

/// The properties of the machine that figures depend on.
pub(crate) fn describe() -> Value {
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    json!({
        "processor": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
    })
}

/// Processor time of all cores so far, in ticks: the time that the machine used, and the time that its host gave to
/// others although the machine wanted it ("steal"; 0 on a physical machine).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    used: f64,
    stolen: f64,
}

impl Processors {
    pub(crate) fn now() -> Self {
        Self::read(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn read(stat: &str) -> Self {
        // The first line: cpu user nice system idle iowait irq softirq steal, and two fields that user and nice
        // include.
        let ticks: Vec<f64> =
            stat.lines().next().unwrap_or_default().split_whitespace().skip(1).map_while(|t| t.parse().ok()).collect();
        let tick = |index: usize| ticks.get(index).copied().unwrap_or(0.0);
        Self { used: [0, 1, 2, 5, 6].map(tick).iter().sum(), stolen: tick(7) }
    }

    /// The processor time that the machine wanted since `before`, in ticks.
    pub(crate) fn wanted_since(self, before: Self) -> f64 {
        self.used - before.used + self.stolen - before.stolen
    }

    /// The share of the wanted time that the host gave to others, from 0 to 1.
    pub(crate) fn stolen_since(self, before: Self) -> f64 {
        let stolen = self.stolen - before.stolen;
        if stolen > 0.0 { stolen / self.wanted_since(before) } else { 0.0 }
    }
}

/// Processor time of a process and its threads so far, in milliseconds.
pub(crate) fn cpu_ms(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may contain blanks; what follows it does not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS * 1_000.0
}

/// Whether a process runs. A zombie does not.
pub(crate) fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| !["Z", "X"].contains(&state))
}

/// The resident memory of a process, in MiB.
pub(crate) fn memory_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

pub(crate) fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let direct = children.split_whitespace().filter_map(|id| id.parse().ok());
    // A child belongs to the thread that started it.
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of_threads = threads.flat_map(|thread| {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
    });
    let mut all: Vec<u32> = direct.chain(of_threads).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_time_is_a_share_of_the_wanted_time() {
        let read = |line: &str| Processors::read(&format!("{line}\ncpu0 1 1 1 1 1 1 1 1 0 0\n"));
        let (before, after) = (read("cpu  100 10 50 7000 30 5 5 20 0 0"), read("cpu  140 20 70 9000 60 10 10 40 0 0"));
        assert!((after.stolen_since(before) - 0.2).abs() < 1e-9, "{after:?}");
        assert!(after.stolen_since(after).abs() < 1e-9);
    }
}
