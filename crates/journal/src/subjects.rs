//! The names of subjects. Every id that goes into one is subject-safe by its type.

use domain::{
    AccountId, AnonymisationFact, DeliveryFact, DeliveryId, DestinationId, JobFact, LeadEvent, LeadId, NoticeFact,
    RegistryFact, delivery::RequestedWork, job::JobRef, notice::NoticeKind,
};

use crate::Traffic;

/// Everything that asks the sender to do something.
pub(crate) const TODO: &str = "delivery.todo.>";
/// Everything that was done about deliveries.
pub(crate) const DONE: &str = "delivery.log.*.*";
/// What is left of every attempt whose lead was anonymised.
pub(crate) const BLANKED_ATTEMPTS: &str = "delivery.blanked.>";
/// Every subject of a stream.
pub(crate) const ANYTHING: &str = ">";
/// Every timer that has fired.
pub(crate) const DUE: &str = "due.>";
/// What is left of every event that was anonymised.
pub(crate) const BLANKED_EVENTS: &str = "anonymised.event.*";
/// Every notice that is called for.
pub(crate) const CALLED_FOR: &str = "notice.*.called";
/// Every notice about leads that is called for: apart from the others, which must not wait behind them.
pub(crate) const CALLED_FOR_LEADS: &str = "notice.*.called.leads";
/// Every question that an owner of an address was asked.
pub(crate) const CONFIRMATIONS: &str = "notice.*.confirmations";
/// Every change of the configuration.
pub(crate) const REGISTRY: &str = "registry.>";
/// Every change of a destination.
pub(crate) const DESTINATIONS: &str = "registry.*.destination.*";
/// Stands where the account would, of what is the platform's own; no account can be called so.
const PLATFORM: &str = "~";
/// Everything about jobs.
pub(crate) const JOBS: &str = "job.>";
/// Everything that is parked.
pub(crate) const PARKED: &str = "parked.>";

/// Of a lead event; those of a burst are told apart, and are nevertheless in one order with the others.
pub(crate) fn lead(event: &LeadEvent, traffic: Traffic) -> String {
    match traffic {
        Traffic::Steady => format!("lead.{}.{}", event.account, event.interface),
        Traffic::Burst => format!("lead.{}.{}.burst", event.account, event.interface),
    }
}

/// Every lead event of a kind of traffic.
pub(crate) const fn leads(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Steady => "lead.*.*",
        Traffic::Burst => "lead.*.*.burst",
    }
}

pub(crate) fn registry(fact: &RegistryFact) -> String {
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
        // Apart from the others, because who waits for these wants nothing else.
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

/// What is called for is work; what was sent is a record.
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

/// All that is recorded about a job has one subject, so that each fact can name the one before.
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

/// Everything about the deliveries of an account, to a destination.
pub(crate) fn deliveries_of(account: Option<&AccountId>, destination: Option<&DestinationId>) -> String {
    let (account, destination) =
        (account.map_or("*", AccountId::as_str), destination.map_or("*", DestinationId::as_str));
    format!("delivery.*.{account}.{destination}")
}

pub(crate) fn todo_of(account: &AccountId, destination: &DestinationId) -> String {
    format!("delivery.todo.{account}.{destination}")
}

/// Those that wait for their turn, of one lead at one destination.
pub(crate) fn ordered(destination: &DestinationId, lead: &LeadId) -> String {
    format!("ordered.{destination}.{lead}")
}

/// Which master key the installation has.
pub(crate) const INSTALLATION_KEY: &str = "position.master-key";

pub(crate) fn position(reader: &str) -> String {
    format!("position.{reader}")
}

/// What a reader remembers of a destination.
pub(crate) fn watched(destination: &str) -> String {
    format!("position.notices.{destination}")
}

/// What the reader of leads remembers of an interface.
pub(crate) fn lead_watch(account: &str, interface: &str) -> String {
    format!("position.leads.{account}.{interface}")
}

/// Each round has a timer of its own, so that what is left of one cannot touch that of the next.
pub(crate) fn timer(destination: &DestinationId, delivery: DeliveryId, round: u32) -> String {
    format!("timer.{destination}.{delivery}.{round}")
}

/// Every timer of a destination that waits for its time.
pub(crate) fn timers_of(destination: &DestinationId) -> String {
    format!("timer.{destination}.>")
}

pub(crate) fn due(destination: &DestinationId, delivery: DeliveryId, round: u32) -> String {
    format!("due.{destination}.{delivery}.{round}")
}

pub(crate) fn parked(destination: &DestinationId) -> String {
    format!("parked.{destination}")
}

/// The destination that a subject of [`PARKED`] names.
pub(crate) fn parked_for(subject: &str) -> Option<DestinationId> {
    DestinationId::parse(subject.strip_prefix("parked.")?).ok()
}

/// Each message has a subject of its own, so that what is set aside again takes its own place.
pub(crate) fn poison(stream: &str, sequence: u64) -> String {
    format!("poison.{stream}.{sequence}")
}
