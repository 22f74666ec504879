//! The table that people read while it runs; the same figures are in the JSON at the end.

/// How wide the column of names is.
const NAMES: usize = 40;

/// Begins a part of the table.
pub(crate) fn head(title: &str) {
    println!("\n{title}");
}

/// A line of it.
pub(crate) fn row(name: &str, figures: &str) {
    println!("  {name:<NAMES$}{figures}");
}
