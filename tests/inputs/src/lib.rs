//! What strangers send, and what may never come of it: for each way in one function that takes any bytes, and panics if a
//! promise is broken. The tests here try a corpus and what is near it; `fuzz/` tries for as long as it is let.
//!
//! It knows ingest and the dispatcher through functions that they show for this alone.

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

/// A way in: its name, which is that of its folder in the corpus, and what is promised of it.
pub type Input = (&'static str, fn(&[u8]));

/// Every way in.
pub const ALL: [Input; 6] = [
    ("addresses", addresses),
    ("conditions", conditions),
    ("facts", facts),
    ("ingest_json", ingest_json),
    ("retry_after", retry_after),
    ("templates", templates),
];
