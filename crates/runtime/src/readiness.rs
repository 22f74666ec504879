//! Readiness: a latch for each part of the process, and one answer for each service.
//!
//! A part names the services that need it. A failing part makes a service that does not need it degraded, not unready:
//! a load balancer in front of ingest must not remove it because a mail server is down. Anonymous callers see the
//! reason of a part, so it holds no paths, addresses or messages of other programs; those are logged.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

type Parts = BTreeMap<&'static str, Part>;

/// The services that are unready without a part. Names are those of [`crate::Service`]s or of gRPC services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeededBy {
    All,
    Only(&'static [&'static str]),
}

impl NeededBy {
    /// Whether one of these services needs the part.
    pub fn any_of(self, services: &[&str]) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| services.contains(name)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `Err` holds the reason why it does not work.
    pub state: Result<(), String>,
    pub needed_by: NeededBy,
}

/// The parts of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<Parts>>);

#[derive(Debug, Clone)]
pub struct Latch {
    name: &'static str,
    needed_by: NeededBy,
    parts: Arc<watch::Sender<Parts>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Parts::new())))
    }
}

impl Readiness {
    /// A latch for a part that every service needs. The part is not ready yet.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.latch_for(name, NeededBy::All)
    }

    /// A latch for a part that some services need. The part is not ready yet.
    pub fn latch_for(&self, name: &'static str, needed_by: NeededBy) -> Latch {
        let latch = Latch { name, needed_by, parts: Arc::clone(&self.0) };
        latch.not_ready("is starting");
        latch
    }

    /// The parts by their names.
    pub fn report(&self) -> BTreeMap<&'static str, Part> {
        self.0.borrow().clone()
    }

    /// Whether every part works.
    pub fn is_ready(&self) -> bool {
        all(&self.0.borrow())
    }

    /// Whether every part that these services need works.
    pub fn is_ready_for(&self, services: &[&str]) -> bool {
        self.0.borrow().values().all(|part| part.state.is_ok() || !part.needed_by.any_of(services))
    }

    /// Waits until every part works.
    pub async fn all_ready(&self) {
        let _ = self.0.subscribe().wait_for(all).await;
    }

    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

#[derive(Debug)]
pub struct Changes(watch::Receiver<Parts>);

impl Changes {
    /// Waits until a part has changed since the previous call.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn all(parts: &Parts) -> bool {
    parts.values().all(|part| part.state.is_ok())
}

impl Latch {
    pub fn ready(&self) {
        self.set(Ok(()));
    }

    /// The part does not work. Anonymous callers may read `why`.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Err(why.into()));
    }

    fn set(&self, state: Result<(), String>) {
        let part = Part { state, needed_by: self.needed_by };
        self.parts.send_if_modified(|parts| parts.insert(self.name, part.clone()).as_ref() != Some(&part));
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
        assert_eq!(readiness.report()["b"].state, Err("is starting".into()));
        b.ready();
        readiness.all_ready().await;
        let mut changes = readiness.changes();
        a.not_ready("the broker is disconnected");
        changes.next().await;
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_part_concerns_only_the_services_that_need_it() {
        let readiness = Readiness::default();
        let (mail, broker) = (readiness.latch_for("mail", NeededBy::Only(&["notifier"])), readiness.latch("broker"));
        mail.ready();
        broker.ready();
        mail.not_ready("the mail server does not answer");
        assert!(readiness.is_ready_for(&["ingest"]));
        assert!(!readiness.is_ready_for(&["notifier"]));
        assert!(!readiness.is_ready_for(&["ingest", "notifier"]));
        broker.not_ready("the broker is disconnected");
        assert!(!readiness.is_ready_for(&["ingest"]));
    }
}
