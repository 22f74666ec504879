//! Who is ready: a latch for each part, and one answer for all of them.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

type Parts = BTreeMap<&'static str, Result<(), String>>;

/// What is ready, and why the rest is not.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<Parts>>);

/// One part's say in it.
#[derive(Debug, Clone)]
pub struct Latch {
    name: &'static str,
    parts: Arc<watch::Sender<Parts>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Parts::new())))
    }
}

impl Readiness {
    /// A latch for a part, which is not ready yet.
    pub fn latch(&self, name: &'static str) -> Latch {
        let latch = Latch { name, parts: Arc::clone(&self.0) };
        latch.not_ready("is starting");
        latch
    }

    /// Every part: ready, or why not.
    pub fn report(&self) -> BTreeMap<&'static str, Result<(), String>> {
        self.0.borrow().clone()
    }

    /// Whether every part is ready.
    pub fn is_ready(&self) -> bool {
        all(&self.0.borrow())
    }

    /// Waits until every part is ready.
    pub async fn all_ready(&self) {
        let _ = self.0.subscribe().wait_for(all).await;
    }

    /// Waits until the answer of [`Readiness::is_ready`] differs from `before`, and gives the new one.
    pub async fn changed(&self, before: bool) -> bool {
        let _ = self.0.subscribe().wait_for(|parts| all(parts) != before).await;
        !before
    }
}

fn all(parts: &Parts) -> bool {
    parts.values().all(Result::is_ok)
}

impl Latch {
    /// The part works.
    pub fn ready(&self) {
        self.set(Ok(()));
    }

    /// The part does not work, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Err(why.into()));
    }

    fn set(&self, state: Result<(), String>) {
        self.parts.send_if_modified(|parts| parts.insert(self.name, state.clone()) != Some(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_parts_have_to_be_ready() {
        let readiness = Readiness::default();
        let (a, b) = (readiness.latch("a"), readiness.latch("b"));
        a.ready();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report()["b"], Err("is starting".into()));
        b.ready();
        readiness.all_ready().await;
        a.not_ready("the broker is away");
        assert!(!readiness.changed(true).await);
    }
}
