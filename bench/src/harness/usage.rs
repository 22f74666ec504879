//! Processor time and peak memory of a system's processes during a measurement.
//!
//! Memory is resident memory, sampled. The common peak is the peak of the sum at one moment, not the sum of the peaks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::harness::machine::{cpu_ms, memory_mib};

/// The sampling interval of memory.
const SAMPLE: Duration = Duration::from_millis(50);
/// The limit for services and broker together in the throughput measurements.
pub(crate) const BAR_MIB: f64 = 200.0;

/// Names and ids of processes.
pub(crate) type Processes = Vec<(String, u32)>;

/// Measures processes from its start to its end.
#[derive(Debug)]
pub(crate) struct Watch {
    processes: Processes,
    idle: Vec<f64>,
    cpu_before: Vec<f64>,
    own_before: f64,
    peaks: Arc<Mutex<Peaks>>,
    sampler: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Peaks {
    each: Vec<f64>,
    together: f64,
}

/// The usage of one process: processor time in milliseconds, memory in MiB.
#[derive(Debug)]
pub(crate) struct UsedBy {
    name: String,
    cpu: f64,
    idle: f64,
    peak: f64,
    now: f64,
}

/// The usage of all processes.
#[derive(Debug)]
pub(crate) struct Used {
    each: Vec<UsedBy>,
    peak: f64,
    /// Processor time of this process: load generator and receivers.
    own_cpu: f64,
}

impl Watch {
    /// Starts the measurement. The current memory is the idle memory.
    pub(crate) fn start(processes: Processes) -> Self {
        let peaks = Arc::new(Mutex::new(Peaks::default()));
        let (sampled, ids) = (Arc::clone(&peaks), processes.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        let sampler = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SAMPLE);
            loop {
                ticks.tick().await;
                sampled.lock().unwrap_or_else(PoisonError::into_inner).add(memory_of(&ids));
            }
        });
        let idle = processes.iter().map(|(_, id)| memory_mib(*id)).collect();
        let mut watch = Self { processes, idle, cpu_before: vec![], own_before: 0.0, peaks, sampler };
        watch.count_from_here();
        watch
    }

    /// Restarts the count of processor time after a warm-up.
    pub(crate) fn count_from_here(&mut self) {
        self.cpu_before = self.processes.iter().map(|(_, id)| cpu_ms(*id)).collect();
        self.own_before = cpu_ms(std::process::id());
    }

    /// Ends the measurement.
    pub(crate) fn end(self) -> Used {
        let ids: Vec<_> = self.processes.iter().map(|(_, id)| *id).collect();
        let cpu: Vec<_> = ids.iter().map(|id| cpu_ms(*id)).collect();
        let own_cpu = cpu_ms(std::process::id()) - self.own_before;
        let now = memory_of(&ids);
        let mut peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        peaks.add(now.clone());
        let each = self.processes.iter().enumerate().map(|(n, (name, _))| UsedBy {
            name: name.clone(),
            cpu: cpu[n] - self.cpu_before[n],
            idle: self.idle[n],
            peak: peaks.each[n],
            now: now[n],
        });
        Used { each: each.collect(), peak: peaks.together, own_cpu }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.sampler.abort();
    }
}

impl Peaks {
    fn add(&mut self, now: Vec<f64>) {
        self.together = self.together.max(now.iter().sum());
        self.each.resize(now.len(), 0.0);
        for (peak, now) in self.each.iter_mut().zip(now) {
            *peak = peak.max(now);
        }
    }
}

fn memory_of(ids: &[u32]) -> Vec<f64> {
    ids.iter().map(|id| memory_mib(*id)).collect()
}

impl Used {
    /// Processor time of the system in milliseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.each.iter().map(|process| process.cpu).sum()
    }

    /// The most memory that the system had at one moment, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        self.peak
    }

    /// Memory of the system at the beginning and at the end, in MiB.
    pub(crate) fn idle_and_now(&self) -> (f64, f64) {
        self.each.iter().fold((0.0, 0.0), |(idle, now), process| (idle + process.idle, now + process.now))
    }

    /// How much more memory each process has than at the beginning, in MiB.
    pub(crate) fn grown(&self) -> Value {
        self.figures(1, |process| process.now - process.idle)
    }

    /// All figures, with the processor time per lead or fact.
    pub(crate) fn json(&self, count: usize) -> Value {
        let per = |ms: f64| rounded(ms / count.max(1) as f64, 4);
        let mut cpu = self.figures(4, |process| per(process.cpu));
        cpu["together"] = per(self.cpu()).into();
        cpu["load_generator_and_receiver"] = per(self.own_cpu).into();
        let (mut idle, mut peak) = (self.figures(1, |process| process.idle), self.figures(1, |process| process.peak));
        idle["together"] = rounded(self.idle_and_now().0, 1).into();
        peak["together"] = rounded(self.peak, 1).into();
        json!({"cpu_ms_each": cpu, "memory_idle_mib": idle, "memory_peak_mib": peak, "within_bar": self.peak <= BAR_MIB})
    }

    /// The figures in one line.
    pub(crate) fn text(&self, count: usize) -> String {
        let per = |ms: f64| ms / count.max(1) as f64;
        let cpu: Vec<_> = self.each.iter().map(|p| format!("{} {:.3}", p.name, per(p.cpu))).collect();
        let peak: Vec<_> = self.each.iter().map(|p| format!("{} {:.0}", p.name, p.peak)).collect();
        format!(
            "CPU {:.3} ms ({}); MiB idle {:.0}, peak {:.0} ({})",
            per(self.cpu()),
            cpu.join(", "),
            self.idle_and_now().0,
            self.peak,
            peak.join(", "),
        )
    }

    fn figures(&self, digits: i32, of: impl Fn(&UsedBy) -> f64) -> Value {
        let figures = self.each.iter().map(|process| (process.name.clone(), Value::from(rounded(of(process), digits))));
        Value::Object(figures.collect::<Map<_, _>>())
    }
}

/// Rounds to this number of digits, for a readable JSON.
pub(crate) fn rounded(figure: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (figure * unit).round() / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_all_is_that_of_one_moment() {
        let mut peaks = Peaks::default();
        for now in [vec![10.0, 1.0], vec![2.0, 5.0]] {
            peaks.add(now);
        }
        assert_eq!((peaks.each, peaks.together), (vec![10.0, 5.0], 11.0));
    }

    #[tokio::test]
    async fn a_process_is_watched() {
        let watch = Watch::start(vec![("this".into(), std::process::id())]);
        let used = watch.end();
        assert!(used.peak() > 1.0, "{used:?}");
        assert_eq!(used.json(1)["memory_peak_mib"]["together"], rounded(used.peak(), 1));
    }
}
