//! Promises about untrusted input. For each entry point there is one function that takes any bytes, and panics if a
//! promise is broken. The tests here try a corpus and inputs near it; `fuzz/` runs until it is stopped.
//!
//! Ingest and the dispatcher export functions for this crate alone.

mod addresses;
mod body;
mod conditions;
mod facts;
mod retry_after;
mod templates;

pub use addresses::addresses;
pub use body::ingest_json;
pub use conditions::conditions;
pub use facts::facts;
pub use retry_after::retry_after;
pub use templates::templates;

/// An entry point: its name, which is also its folder in the corpus, and the function that checks its promise.
pub type Input = (&'static str, fn(&[u8]));

/// Every entry point.
pub const ALL: [Input; 6] = [
    ("addresses", addresses),
    ("conditions", conditions),
    ("facts", facts),
    ("ingest_json", ingest_json),
    ("retry_after", retry_after),
    ("templates", templates),
];
