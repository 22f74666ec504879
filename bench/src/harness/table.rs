//! The table that is printed during the run. The JSON at the end has the same figures.

use std::sync::{Mutex, PoisonError};

use crate::harness::machine::Processors;

/// The width of the name column.
const NAMES: usize = 40;
/// The minimum share of stolen processor time that a line mentions.
const STOLEN: f64 = 0.02;
/// The minimum of ticks for a share. Lines that are printed together share the figure of the first.
const MIN_TICKS: f64 = 100.0;

/// Processor times at the previous line.
static BEFORE: Mutex<Option<Processors>> = Mutex::new(None);

/// Prints the title of a part.
pub(crate) fn head(title: &str) {
    stolen_since_before();
    println!("\n{title}");
}

/// Prints a line of the table.
pub(crate) fn row(name: &str, figures: &str) {
    let stolen = stolen_since_before();
    let doubt = if stolen < STOLEN { String::new() } else { format!("; STOLEN by the host: {:.0} %", stolen * 100.0) };
    println!("  {name:<NAMES$}{figures}{doubt}");
}

fn stolen_since_before() -> f64 {
    let now = Processors::now();
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let since = *before.get_or_insert(now);
    if now.wanted_since(since) < MIN_TICKS {
        return 0.0;
    }
    *before = Some(now);
    now.stolen_since(since)
}
