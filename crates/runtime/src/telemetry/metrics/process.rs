//! The process and its tokio runtime, observed when metrics are exported.

use std::{fs, time::Instant};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use opentelemetry::KeyValue;
use tokio::runtime::Handle;

use super::meter::meter;

/// Registers the instruments. Has to be called inside a tokio runtime.
pub(super) fn observe() {
    of_process();
    of_runtime();
}

fn of_process() {
    let meter = meter();
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Processor time of the process")
        .with_callback(|observer| {
            let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return };
            observer.observe(seconds(usage.user_time()), &[KeyValue::new("cpu.mode", "user")]);
            observer.observe(seconds(usage.system_time()), &[KeyValue::new("cpu.mode", "system")]);
        })
        .build();
    for (name, unit, description, field) in [
        ("process.memory.usage", "By", "Memory in use", "VmRSS:"),
        ("process.memory.virtual", "By", "Committed virtual memory", "VmSize:"),
        ("process.thread.count", "{thread}", "Threads of the process", "Threads:"),
    ] {
        meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                if let Some(value) = status(field) {
                    observer.observe(value, &[]);
                }
            })
            .build();
    }
    meter
        .i64_observable_up_down_counter("process.unix.file_descriptor.count")
        .with_unit("{file_descriptor}")
        .with_description("Open files and connections")
        .with_callback(|observer| {
            if let Ok(open) = fs::read_dir("/proc/self/fd") {
                observer.observe(i64::try_from(open.count()).unwrap_or(i64::MAX), &[]);
            }
        })
        .build();
    let started = Instant::now();
    meter
        .f64_observable_gauge("process.uptime")
        .with_unit("s")
        .with_description("Time since the start of the process")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
}

/// Observes the tokio runtime. The semantic conventions define no metrics for it.
fn of_runtime() {
    let (meter, runtime) = (meter(), Handle::current());
    let metrics = runtime.metrics();
    meter
        .u64_observable_gauge("tokio.runtime.workers")
        .with_unit("{thread}")
        .with_description("Threads that run tasks")
        .with_callback(move |observer| observer.observe(metrics.num_workers() as u64, &[]))
        .build();
    let metrics = runtime.metrics();
    meter
        .u64_observable_gauge("tokio.runtime.tasks")
        .with_unit("{task}")
        .with_description("Tasks that have not ended")
        .with_callback(move |observer| observer.observe(metrics.num_alive_tasks() as u64, &[]))
        .build();
    let metrics = runtime.metrics();
    meter
        .u64_observable_gauge("tokio.runtime.queue.depth")
        .with_unit("{task}")
        .with_description("Tasks that wait for a thread in the queue of all threads")
        .with_callback(move |observer| observer.observe(metrics.global_queue_depth() as u64, &[]))
        .build();
    let metrics = runtime.metrics();
    meter
        .f64_observable_counter("tokio.runtime.busy.time")
        .with_unit("s")
        .with_description("Time that all threads spent with tasks")
        .with_callback(move |observer| {
            let busy = (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker));
            observer.observe(busy.sum::<std::time::Duration>().as_secs_f64(), &[]);
        })
        .build();
}

fn seconds(time: TimeVal) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "processor time is far below 2^53")]
    let (seconds, micros) = (time.tv_sec() as f64, time.tv_usec() as f64);
    seconds + micros / 1e6
}

/// A field of `/proc/self/status`: bytes if it is given in kB. `None` if the system has no such file.
fn status(field: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field))?.trim();
    match value.strip_suffix(" kB") {
        Some(kilobytes) => kilobytes.parse::<i64>().ok().map(|kilobytes| kilobytes * 1024),
        None => value.parse().ok(),
    }
}
