//! The names of subjects. The type of each id in them guarantees that it is subject-safe.

use domain::{
    AccountId, AnonymisationFact, DeliveryFact, DeliveryId, DestinationId, JobFact, LeadEvent, LeadId, NoticeFact,
    RegistryFact, delivery::RequestedWork, job::JobRef, notice::NoticeKind, registry::Change,
};

/// Facts that request work from the dispatchers.
pub(crate) const TODO: &str = "delivery.todo.>";
/// Facts about the progress of deliveries.
pub(crate) const DONE: &str = "delivery.log.*.*";
/// Attempts of anonymised leads, without their content.
pub(crate) const BLANKED_ATTEMPTS: &str = "delivery.blanked.>";
/// Every subject of a stream.
pub(crate) const ANYTHING: &str = ">";
/// Timers that have fired.
pub(crate) const DUE: &str = "due.>";
/// Events of anonymised leads, without their content.
pub(crate) const BLANKED_EVENTS: &str = "anonymised.event.*";
/// Notices to send.
pub(crate) const CALLED_FOR: &str = "notice.*.called";
/// Notices about leads, on their own subject, so that they do not wait behind other notices.
pub(crate) const CALLED_FOR_LEADS: &str = "notice.*.called.leads";
/// Confirmation mails to owners of addresses.
pub(crate) const CONFIRMATIONS: &str = "notice.*.confirmations";
/// Changes of the configuration.
pub(crate) const REGISTRY: &str = "registry.>";
/// Changes of destinations.
pub(crate) const DESTINATIONS: &str = "registry.*.destination.*";
/// Replaces the account in subjects about the platform. No account can have this id.
const PLATFORM: &str = "~";
/// Facts about jobs.
pub(crate) const JOBS: &str = "job.>";
/// Parked work.
pub(crate) const PARKED: &str = "parked.>";

/// Whether an event is part of a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Not part of a burst: routed before the events of bursts.
    Steady,
    /// Part of a burst: routed when no steady event waits.
    Burst,
}

/// The subject of a lead event. Events of bursts have their own subject, but the order of the stream includes both.
pub(crate) fn lead(event: &LeadEvent, traffic: Traffic) -> String {
    match traffic {
        Traffic::Steady => format!("lead.{}.{}", event.account, event.interface),
        Traffic::Burst => format!("lead.{}.{}.burst", event.account, event.interface),
    }
}

/// The lead events of a kind of traffic.
pub(crate) const fn leads(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Steady => "lead.*.*",
        Traffic::Burst => "lead.*.*.burst",
    }
}

pub(crate) fn registry(fact: &RegistryFact) -> String {
    if let Change::PayloadViewed(account, ..) = &fact.change {
        // The number of subjects does not grow with leads.
        return format!("registry.{account}.event.viewed");
    }
    let (account, kind, id) = fact.change.entity();
    let account = account.map_or(PLATFORM, AccountId::as_str);
    format!("registry.{account}.{}.{id}", kind.as_str())
}

pub(crate) fn delivery(fact: &DeliveryFact) -> String {
    let kind = match fact {
        DeliveryFact::Requested(f) if matches!(f.work, RequestedWork::Here { .. }) => "todo",
        DeliveryFact::Released(_) | DeliveryFact::RetryRequested(_) => "todo",
        DeliveryFact::Requested(_)
        | DeliveryFact::AttemptStarted(_)
        | DeliveryFact::Attempted(_)
        | DeliveryFact::Held(_)
        | DeliveryFact::Abandoned(_) => "log",
        // On its own subject, because its reader reads nothing else.
        DeliveryFact::AttemptBlanked(_) => "blanked",
    };
    let reference = fact.reference();
    format!("delivery.{kind}.{}.{}", reference.account, reference.destination)
}

pub(crate) fn anonymisation(fact: &AnonymisationFact) -> String {
    match fact {
        AnonymisationFact::LeadAnonymised(f) => anonymised_of(&f.account),
        AnonymisationFact::EventBlanked(f) => format!("anonymised.event.{}", f.event.account),
    }
}

/// Which leads of an account were anonymised.
pub(crate) fn anonymised_of(account: &AccountId) -> String {
    format!("anonymised.lead.{account}")
}

/// A notice to send is work; a notice that was sent is a record.
pub(crate) fn notice(fact: &NoticeFact) -> String {
    match fact {
        NoticeFact::CalledFor(called) if called.about.kind() == NoticeKind::Lead => {
            format!("notice.{}.called.leads", called.account)
        }
        NoticeFact::CalledFor(called) => format!("notice.{}.called", called.account),
        NoticeFact::Sent(sent) if sent.kind == NoticeKind::Confirmation => {
            format!("notice.{}.confirmations", sent.account)
        }
        _ => notices_of(fact.account()),
    }
}

pub(crate) fn notices_of(account: &AccountId) -> String {
    format!("notice.{account}")
}

pub(crate) fn leads_of(account: Option<&AccountId>) -> String {
    format!("lead.{}.>", account.map_or("*", AccountId::as_str))
}

pub(crate) fn job(fact: &JobFact) -> String {
    facts_of(fact.reference())
}

/// All facts about a job are on one subject, so that each can name the previous one.
pub(crate) fn facts_of(reference: &JobRef) -> String {
    format!("job.{}.{}", reference.account, reference.job)
}

pub(crate) fn todo_of_account(account: &AccountId) -> String {
    format!("delivery.todo.{account}.*")
}

pub(crate) fn log_of(account: &AccountId, destination: &DestinationId) -> String {
    format!("delivery.log.{account}.{destination}")
}

pub(crate) fn blanked_of(account: &AccountId, destination: &DestinationId) -> String {
    format!("delivery.blanked.{account}.{destination}")
}

/// All facts about the deliveries of an account (of all accounts if it is `None`) to a destination (to all if it is
/// `None`).
pub(crate) fn deliveries_of(account: Option<&AccountId>, destination: Option<&DestinationId>) -> String {
    let (account, destination) =
        (account.map_or("*", AccountId::as_str), destination.map_or("*", DestinationId::as_str));
    format!("delivery.*.{account}.{destination}")
}

pub(crate) fn todo_of(account: &AccountId, destination: &DestinationId) -> String {
    format!("delivery.todo.{account}.{destination}")
}

/// The ordered queue of one lead at one destination.
pub(crate) fn ordered(destination: &DestinationId, lead: &LeadId) -> String {
    format!("ordered.{destination}.{lead}")
}

/// The fingerprint of the master key.
pub(crate) const INSTALLATION_KEY: &str = "position.master-key";

/// The record that a log-in link was used.
pub(crate) fn used_link(id: &str) -> String {
    format!("position.used-link.{id}")
}

pub(crate) fn position(reader: &str) -> String {
    format!("position.{reader}")
}

/// The notifier's state of a destination.
pub(crate) fn destination_state(destination: &str) -> String {
    format!("position.notices.{destination}")
}

/// The notifier's state of an interface.
pub(crate) fn interface_state(account: &str, interface: &str) -> String {
    format!("position.leads.{account}.{interface}")
}

/// Each round has its own timer, so that an old timer cannot affect the next round.
pub(crate) fn timer(destination: &DestinationId, delivery: DeliveryId, round: u32) -> String {
    format!("timer.{destination}.{delivery}.{round}")
}

/// The timers of a destination that are not due yet.
pub(crate) fn timers_of(destination: &DestinationId) -> String {
    format!("timer.{destination}.>")
}

pub(crate) fn due(destination: &DestinationId, delivery: DeliveryId, round: u32) -> String {
    format!("due.{destination}.{delivery}.{round}")
}

pub(crate) fn parked(destination: &DestinationId) -> String {
    format!("parked.{destination}")
}

/// The destination of a subject of [`PARKED`].
pub(crate) fn parked_for(subject: &str) -> Option<DestinationId> {
    DestinationId::parse(subject.strip_prefix("parked.")?).ok()
}

/// Each message has its own subject, so that a repeated copy replaces the first one.
pub(crate) fn poison(stream: &str, sequence: u64) -> String {
    format!("poison.{stream}.{sequence}")
}
