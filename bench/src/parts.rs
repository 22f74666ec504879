//! What was measured, part by part, and how far the machine was its own meanwhile.

use serde_json::{Map, Value};

use crate::{machine::Processors, usage::rounded};

/// The parts that were measured, one after the other.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) results: Map<String, Value>,
    /// Of the processor time that the machine wanted during each, the share that its host gave to others.
    pub(crate) stolen: Map<String, Value>,
    /// When the part began that is measured now.
    begun: Processors,
}

impl Parts {
    pub(crate) fn new() -> Self {
        Self { results: Map::new(), stolen: Map::new(), begun: Processors::now() }
    }

    /// What was done until now belongs to no part.
    pub(crate) fn begin(&mut self) {
        self.begun = Processors::now();
    }

    /// Adds one that was measured since the one before.
    pub(crate) fn add(&mut self, name: &str, result: Value) {
        let now = Processors::now();
        self.results.insert(name.to_owned(), result);
        self.stolen.insert(name.to_owned(), rounded(now.stolen_since(self.begun), 3).into());
        self.begin();
    }
}
