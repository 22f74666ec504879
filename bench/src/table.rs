//! The table that people read while it runs; the same figures are in the JSON at the end.

use std::sync::{Mutex, PoisonError};

use crate::machine::Processors;

/// How wide the column of names is.
const NAMES: usize = 40;
/// From which share on a line says that the host of the machine gave processor time to others since the line before.
const STOLEN: f64 = 0.02;
/// Of less than so many ticks of processor time nothing is said: lines that are printed together share what the first says.
const TOO_FEW: f64 = 100.0;

/// When the line before was printed.
static BEFORE: Mutex<Option<Processors>> = Mutex::new(None);

/// Begins a part of the table.
pub(crate) fn head(title: &str) {
    stolen_since_before();
    println!("\n{title}");
}

/// A line of it.
pub(crate) fn row(name: &str, figures: &str) {
    let stolen = stolen_since_before();
    let doubt = if stolen < STOLEN { String::new() } else { format!("; STOLEN by the host: {:.0} %", stolen * 100.0) };
    println!("  {name:<NAMES$}{figures}{doubt}");
}

fn stolen_since_before() -> f64 {
    let now = Processors::now();
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let since = *before.get_or_insert(now);
    if now.wanted_since(since) < TOO_FEW {
        return 0.0;
    }
    *before = Some(now);
    now.stolen_since(since)
}
