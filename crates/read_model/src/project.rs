//! The effect of each fact on the read model. The projector may see a fact twice, and facts of different streams in any
//! order.

pub mod audit;
mod effects;
mod lead_events;
mod projected;

use std::collections::{HashMap, HashSet};

use domain::{
    AccountId, AnonymisationFact, Delivery, DeliveryFact, DeliveryId, DeliveryStatus, Job, JobFact, JobId, LeadEvent,
    LeadId, NoticeFact, Registry, RegistryFact,
    anonymisation::LeadAnonymised,
    delivery::{FailureReason, HoldReason, RetryRequested},
};
use journal::Entry;
use runtime::ErrorChain as _;
use sqlx::{Any, Transaction};

use self::{
    audit::Describe,
    effects::{Effects, Known, attempted, blanked},
    projected::readable,
};
pub use self::{lead_events::Received, projected::Projected};
use crate::{
    error::StoreError,
    tables::{
        anonymised, attempts, audit as audit_log, deliveries, jobs,
        leads::{self, LastOfLead, LeadNews},
        log::{self, LogEntry},
        outcomes, problems,
    },
};

/// The registry before a batch of its facts.
#[derive(Debug)]
pub struct RegistryBefore {
    registry: Registry,
    describe: Describe,
}

impl Projected for RegistryFact {
    type Memory = RegistryBefore;
    const REMEMBERS: bool = true;

    fn memory(describe: Describe) -> RegistryBefore {
        RegistryBefore { registry: Registry::default(), describe }
    }

    fn remember(before: &mut RegistryBefore, batch: &[Entry<Self>]) {
        readable(batch).for_each(|(sequence, fact)| before.registry.apply(sequence, fact));
    }

    async fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        RegistryBefore { registry, describe }: &mut RegistryBefore,
    ) -> Result<(), StoreError> {
        let entries = readable(batch).filter_map(|(sequence, fact)| audit::entry(registry, sequence, fact, *describe));
        audit_log::add(transaction, entries.collect()).await
    }
}

impl Projected for AnonymisationFact {
    type Memory = ();

    fn memory(_: Describe) {}

    async fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        (): &mut (),
    ) -> Result<(), StoreError> {
        let facts = || readable(batch).map(|(_, fact)| fact);
        let marks = anonymised::mark(transaction, &anonymised::marks(facts())).await?;
        let events: Vec<_> = facts().filter_map(outline).collect();
        leads::add_events(transaction, &events, true).await?;
        let entries = facts().filter_map(|fact| match fact {
            AnonymisationFact::EventBlanked(_) => None,
            AnonymisationFact::LeadAnonymised(f) => Some(anonymised_entry(f)),
        });
        log::add(transaction, entries.collect()).await?;
        anonymised::forget(transaction, &marks).await
    }
}

/// The event of an `EventBlanked`, without its payload, and its sequence in LEADS.
fn outline(fact: &AnonymisationFact) -> Option<(u64, &LeadEvent)> {
    match fact {
        AnonymisationFact::EventBlanked(f) => Some((f.sequence.0, &f.event)),
        AnonymisationFact::LeadAnonymised(_) => None,
    }
}

fn anonymised_entry(fact: &LeadAnonymised) -> LogEntry {
    LogEntry {
        fact: format!("anonymised/{}/{}/{}", fact.account, fact.lead, fact.until.0),
        account: fact.account.to_string(),
        lead: fact.lead.to_string(),
        at: fact.at,
        entry: "anonymised",
        detail: format!("requested by {}", fact.by),
        event_id: String::new(),
        delivery: String::new(),
        destination: String::new(),
        request: String::new(),
    }
}

impl Projected for NoticeFact {
    type Memory = ();

    fn memory(_: Describe) {}

    async fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        (): &mut (),
    ) -> Result<(), StoreError> {
        let acknowledged = readable(batch).filter_map(|(_, fact)| match fact {
            NoticeFact::Acknowledged(acknowledged) => Some(acknowledged),
            _ => None,
        });
        problems::acknowledge(transaction, &acknowledged.collect::<Vec<_>>()).await?;
        log::add(transaction, readable(batch).filter_map(|(_, fact)| notice_entry(fact)).collect()).await
    }
}

/// The log entry about a notice; `None` if the notice is not about a lead.
fn notice_entry(fact: &NoticeFact) -> Option<LogEntry> {
    let entry = |lead: &LeadId, at, detail| LogEntry {
        fact: format!("notice/{}", fact.message_id()),
        account: fact.account().to_string(),
        lead: lead.to_string(),
        at,
        entry: "errornotice",
        detail,
        event_id: String::new(),
        delivery: String::new(),
        destination: String::new(),
        request: String::new(),
    };
    match fact {
        NoticeFact::ErrorNoticeSent(sent) => Some(LogEntry {
            delivery: sent.delivery.to_string(),
            destination: sent.destination.to_string(),
            ..entry(&sent.lead, sent.at, format!("{:?} to {}", sent.subject, sent.recipients.join(", ")))
        }),
        NoticeFact::GivenUp(given_up) => {
            let (lead, delivery) = (given_up.lead.as_ref()?, given_up.delivery?);
            let detail =
                format!("given up: no notice was sent to {}: {}", given_up.recipients.join(", "), given_up.reason);
            Some(LogEntry {
                delivery: delivery.to_string(),
                destination: given_up.destination.as_ref().map(ToString::to_string).unwrap_or_default(),
                ..entry(lead, given_up.at, detail)
            })
        }
        _ => None,
    }
}

impl Projected for DeliveryFact {
    type Memory = ();

    fn memory(_: Describe) {}

    async fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        (): &mut (),
    ) -> Result<(), StoreError> {
        let ids: HashSet<DeliveryId> = readable(batch).map(|(_, fact)| fact.reference().delivery).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let before = deliveries::load(transaction, &ids).await?;
        let mut after = before.clone();
        after.reserve(ids.len() - before.len());
        let (mut outcomes, mut effects) = (outcomes::Changes::default(), Effects::default());
        for (sequence, fact) in readable(batch) {
            let id = fact.reference().delivery;
            let known = after.get(&id).and_then(Delivery::outcome_in_job);
            fold(&mut after, sequence, fact, &mut effects);
            outcomes.note(known, after.get(&id).and_then(Delivery::outcome_in_job));
        }
        // Leads are written first: an anonymisation holds the row of its lead while it changes the rows of the lead's
        // deliveries.
        let marks = leads::add_news(transaction, lead_changes(&before, &after, batch)).await?;
        deliveries::save(transaction, &before, &after).await?;
        effects.save(transaction).await?;
        let made: Vec<_> = readable(batch).filter_map(|(place, fact)| Some((place, attempted(fact)?))).collect();
        attempts::add(transaction, &made).await?;
        attempts::add_blank(transaction, &readable(batch).filter_map(|(_, fact)| blanked(fact)).collect::<Vec<_>>())
            .await?;
        log::add(transaction, readable(batch).filter_map(|(_, fact)| delivery_entry(fact)).collect()).await?;
        outcomes.write(transaction).await?;
        anonymised::forget(transaction, &marks).await
    }
}

/// The changes of a batch to the leads of its deliveries.
fn lead_changes<'a>(
    before: &HashMap<DeliveryId, Delivery>,
    after: &'a HashMap<DeliveryId, Delivery>,
    batch: &'a [Entry<DeliveryFact>],
) -> HashMap<(&'a AccountId, &'a LeadId), LeadNews> {
    let mut lead_changes: HashMap<_, LeadNews> = HashMap::with_capacity(after.len());
    let failed = |delivery: &Delivery| i64::from(delivery.status == DeliveryStatus::Failed);
    for (id, delivery) in after {
        let known = before.get(id);
        let of_lead = lead_changes.entry((&delivery.reference.account, &delivery.reference.lead)).or_default();
        of_lead.deliveries += i64::from(known.is_none());
        of_lead.failed += failed(delivery) - known.map_or(0, failed);
    }
    for (_, fact) in readable(batch) {
        let reference = fact.reference();
        let Some(of_lead) = lead_changes.get_mut(&(&reference.account, &reference.lead)) else { continue };
        of_lead.updated_at = of_lead.updated_at.max(fact.at());
        if let Some(made) = attempted(fact).or(blanked(fact)) {
            let attempt = LastOfLead {
                started_at: made.started_at,
                attempt: made.attempt_id.to_string(),
                delivery: reference.delivery.to_string(),
                status: made.outcome.status_code(),
            };
            of_lead.last = of_lead.last.take().max(Some(attempt));
        }
    }
    lead_changes
}

impl Projected for JobFact {
    type Memory = ();

    fn memory(_: Describe) {}

    async fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        (): &mut (),
    ) -> Result<(), StoreError> {
        let ids: HashSet<JobId> = readable(batch).map(|(_, fact)| fact.reference().job).collect();
        let mut states = jobs::load(transaction, &ids.into_iter().collect::<Vec<_>>()).await?;
        for (sequence, fact) in readable(batch) {
            let id = fact.reference().job;
            match Job::evolve(states.get(&id).cloned(), fact) {
                Ok(after) => {
                    states.insert(id, after);
                }
                Err(illegal) => tracing::error!(sequence, error = illegal.chain(), "skipped a fact of JOBS"),
            }
        }
        jobs::save(transaction, states.values()).await?;
        let refusals = readable(batch).filter_map(|(_, fact)| match fact {
            JobFact::Progressed(f) => Some((f.reference.job, &f.refused)),
            _ => None,
        });
        let refusals = refusals.flat_map(|(job, refused)| refused.iter().map(move |refused| (job, refused)));
        jobs::add_refusals(transaction, refusals.collect()).await
    }
}

fn fold(states: &mut HashMap<DeliveryId, Delivery>, sequence: u64, fact: &DeliveryFact, effects: &mut Effects) {
    let id = fact.reference().delivery;
    let before = states.get(&id).cloned();
    let known = before.as_ref().map(Known::of);
    match Delivery::evolve(before, fact) {
        Ok(after) => {
            effects.learn(known, &after, fact);
            states.insert(id, after);
        }
        Err(illegal) => {
            tracing::error!(sequence, error = illegal.chain(), "skipped a fact of DELIVERIES");
        }
    }
}

/// The log entry about a fact; `None` if the log does not show it.
fn delivery_entry(fact: &DeliveryFact) -> Option<LogEntry> {
    let (entry, detail) = match fact {
        DeliveryFact::Requested(f) => ("recovered", format!("found missing by job {}", f.job?)),
        DeliveryFact::Released(_) | DeliveryFact::AttemptStarted(_) => return None,
        // The log shows attempts from their own rows.
        DeliveryFact::Attempted(_) | DeliveryFact::AttemptBlanked(_) => return None,
        DeliveryFact::RetryRequested(f) => ("resentwebhook", retry_detail(f)),
        DeliveryFact::Held(f) => ("held", held(f.reason).to_owned()),
        DeliveryFact::Abandoned(f) => ("abandoned", abandoned(f.reason).to_owned()),
    };
    let request = match fact {
        DeliveryFact::RetryRequested(f) => f.request.as_ref().map(ToString::to_string).unwrap_or_default(),
        _ => String::new(),
    };
    let reference = fact.reference();
    Some(LogEntry {
        fact: fact.message_id(),
        account: reference.account.to_string(),
        lead: reference.lead.to_string(),
        at: fact.at(),
        entry,
        detail,
        event_id: reference.event_id.to_string(),
        delivery: reference.delivery.to_string(),
        destination: reference.destination.to_string(),
        request,
    })
}

/// The text about a request of another round: its caller and the reason.
fn retry_detail(fact: &RetryRequested) -> String {
    let what = if fact.is_resend() { "resend" } else { "retry" };
    let job = fact.job.map(|job| format!(" in job {job}")).unwrap_or_default();
    let reason = if fact.reason.is_empty() { String::new() } else { format!(": {}", fact.reason) };
    format!("{what} {} requested by {}{job}{reason}", fact.round, fact.by)
}

const fn held(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Disabled => "waits until a person enables the destination again",
        HoldReason::Deactivated => "waits until a person enables the destination",
    }
}

const fn abandoned(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Exhausted => "no attempt is left",
        FailureReason::TooOld => "the delivery became too old",
        FailureReason::DestinationDeleted => "the destination was deleted",
        FailureReason::PayloadGone => "the payload is no longer stored",
        FailureReason::Anonymised => "the lead was anonymised",
        FailureReason::Skipped => "an operator skipped the delivery",
        FailureReason::Loop => "the delivery was part of a loop",
        FailureReason::Render => "the destination's settings produce no request for this lead",
        FailureReason::Crashed => "Leadline crashed repeatedly while it worked on this delivery",
    }
}
