//! The results of each part, and the share of the machine's time that its host took meanwhile.

use serde_json::{Map, Value};

use crate::harness::{machine::Processors, usage::rounded};

/// The finished parts, in order.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) results: Map<String, Value>,
    /// For each part: the share of the wanted processor time that the host gave to others.
    pub(crate) stolen: Map<String, Value>,
    /// Processor times at the beginning of the current part.
    begun: Processors,
}

impl Parts {
    pub(crate) fn new() -> Self {
        Self { results: Map::new(), stolen: Map::new(), begun: Processors::now() }
    }

    /// Begins a part. Earlier work belongs to no part.
    pub(crate) fn begin(&mut self) {
        self.begun = Processors::now();
    }

    /// Adds the part that was measured since the previous one.
    pub(crate) fn add(&mut self, name: &str, result: Value) {
        let now = Processors::now();
        self.results.insert(name.to_owned(), result);
        self.stolen.insert(name.to_owned(), rounded(now.stolen_since(self.begun), 3).into());
        self.begin();
    }
}
