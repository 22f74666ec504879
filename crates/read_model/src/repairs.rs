//! The number of deliveries that the reconciler of this process has repaired since its start. The status shows it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Repairs(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    missing: AtomicU64,
    stuck: AtomicU64,
}

impl Repairs {
    pub fn count_missing(&self) {
        self.0.missing.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_stuck(&self) {
        self.0.stuck.fetch_add(1, Ordering::Relaxed);
    }

    /// Missing deliveries that were requested.
    pub fn missing(&self) -> u64 {
        self.0.missing.load(Ordering::Relaxed)
    }

    /// Stuck deliveries whose work was restored.
    pub fn stuck(&self) -> u64 {
        self.0.stuck.load(Ordering::Relaxed)
    }
}
