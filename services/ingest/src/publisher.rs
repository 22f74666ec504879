//! The one way of a lead event into the journal.

use std::{sync::Arc, time::Duration};

use domain::{EventId, LeadEvent, LeadId, Registry};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView, StreamName};
use runtime::{crash, trace::TraceContext};
use tracing::{Instrument as _, info_span};
use uuid::Uuid;
use wire::publish::{Publish, PublishError};

/// How long a call waits for the news of an account or interface that this process does not know yet.
const NEWS_DEADLINE: Duration = Duration::from_secs(1);

/// Stores lead events. Clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    journal: Journal,
    registry: RegistryView,
}

/// An event that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) event_id: EventId,
    pub(crate) lead: LeadId,
    pub(crate) duplicate: bool,
}

impl Publisher {
    pub(crate) fn new(journal: Journal, registry: RegistryView) -> Self {
        Self { journal, registry }
    }

    /// Checks that account and interface exist; the event to store. Nothing is stored yet.
    pub(crate) async fn check(&self, publish: Publish) -> Result<LeadEvent, PublishError> {
        let mut registry = self.registry.snapshot();
        if known(&registry, &publish).is_err() {
            registry = self.with_latest_news(registry).await;
        }
        known(&registry, &publish)?;
        let now = Timestamp::now();
        let event_id = publish.event_id.unwrap_or_else(|| EventId::from_uuid(Uuid::now_v7()));
        let lead = publish.lead.unwrap_or_else(|| LeadId::of_event(&publish.account, &event_id));
        Ok(LeadEvent {
            event_id,
            account: publish.account,
            interface: publish.interface,
            client: publish.client,
            lead,
            event_type: publish.event_type,
            occurred_at: publish.occurred_at.unwrap_or(now),
            received_at: now,
            registry_sequence: registry.sequence(),
            payload: publish.payload,
        })
    }

    /// Stores a checked event; returns once the broker has it.
    pub(crate) async fn store(
        &self,
        event: LeadEvent,
        caller: Option<&TraceContext>,
    ) -> Result<Published, PublishError> {
        let (span, trace) = TraceContext::enter(
            caller,
            || info_span!("publish", otel.kind = "producer", account = %event.account, event_id = %event.event_id),
        );
        crash::point("before a lead is stored");
        let appended = self.journal.append_lead(&event, &trace).instrument(span).await;
        crash::point("after a lead is stored");
        match appended {
            Ok(appended) => Ok(Published { event_id: event.event_id, lead: event.lead, duplicate: appended.duplicate }),
            Err(error) => Err(not_stored(&error)),
        }
    }

    /// A change that was just made through another process may not be known here: asks how far the registry goes, and
    /// waits until it is known.
    async fn with_latest_news(&self, known: Arc<Registry>) -> Arc<Registry> {
        match self.journal.last_sequence(StreamName::Registry).await {
            Ok(latest) if latest > known.sequence() => {
                self.registry.at_least(latest, NEWS_DEADLINE).await.unwrap_or(known)
            }
            Ok(_) => known,
            Err(error) => {
                tracing::debug!(error = error.chain(), "cannot ask for the latest configuration");
                known
            }
        }
    }
}

fn known(registry: &Registry, publish: &Publish) -> Result<(), PublishError> {
    let (account, interface) = (&publish.account, &publish.interface);
    if registry.account(account).is_none() {
        return Err(PublishError::invalid("account", format!("{account} does not exist")));
    }
    if registry.interface(account, interface).is_none() {
        let problem = format!("{interface} does not exist in account {account}");
        return Err(PublishError::invalid("interface", problem));
    }
    Ok(())
}

fn not_stored(error: &JournalError) -> PublishError {
    tracing::warn!(error = error.chain(), "an event was not stored; its publisher was told so");
    PublishError::Unavailable(error.to_string())
}
