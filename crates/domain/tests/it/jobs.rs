//! The decisions of jobs about deliveries and events, the state that follows from job facts, and the pace of jobs.

use std::{sync::Arc, time::Duration};

use domain::{
    Delivery, DeliveryFact, DeliveryId, DeliveryStatus, Job, JobFact, JobId, LeadSequence, Registry, RetryPolicy,
    delivery::{Effect, FailureReason, HoldReason, RetryContext, RetryRefusal, abandon, after_attempt, hold},
    job::{
        Candidate, Cursor, IllegalJob, JobDecision, JobOutcome, JobRef, JobRefusal, JobStarted, JobStatus, MAX_LISTED,
        MAX_SAMPLED, Pace, Plan, Progress, Recovery, Refused, Spread, cancel, check, consider_event, consider_retry,
        finish,
    },
    registry::{Change, EventTypePattern, Scope},
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::common::{
    account, account_id, destination, destination_id, event, execution, fact, interface, requested, t, work,
};

fn id(number: u128) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_u128(number))
}

fn started(plan: Plan) -> JobStarted {
    let reference = JobRef { job: JobId::from_uuid(Uuid::from_u128(9)), account: account_id() };
    JobStarted {
        reference,
        plan,
        dry_run: false,
        pace: Pace::DEFAULT,
        force: false,
        by: "me".into(),
        reason: String::new(),
        at: t(500),
    }
}

fn recovery() -> Recovery {
    Recovery {
        destination: destination_id("dst"),
        since: t(100),
        until: Some(t(200)),
        include_before_created: false,
        event_types: vec![],
        end: LeadSequence(1_000),
    }
}

/// A delivery in each status.
fn in_every_status() -> Vec<Delivery> {
    let fold = |facts: &[DeliveryFact]| {
        facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
    };
    let ended = |code, policy: &RetryPolicy| {
        let effects = after_attempt(&work(), policy, execution(1, t(110), crate::common::status(code)));
        match effects.last() {
            Some(Effect::Append(fact)) => fact.clone(),
            other => panic!("{other:?}"),
        }
    };
    let processing = DeliveryFact::AttemptStarted(domain::delivery::AttemptStarted {
        reference: crate::common::reference_of(&requested()),
        attempt_id: domain::AttemptId::from_uuid(Uuid::from_u128(1)),
        attempt: 1,
        round: 0,
        resend: 0,
        holds: 0,
        at: t(110),
    });
    let retrying = RetryPolicy { schedule: vec![Duration::from_secs(60)], ..RetryPolicy::manual() };
    vec![
        fold(&[requested()]),
        fold(&[requested(), processing]),
        fold(&[requested(), ended(500, &retrying)]),
        fold(&[requested(), hold(&work(), HoldReason::Disabled, t(110)).0]),
        fold(&[requested(), ended(200, &RetryPolicy::manual())]),
        fold(&[requested(), ended(500, &RetryPolicy::manual())]),
    ]
}

fn failed() -> Delivery {
    in_every_status().pop().unwrap()
}

#[test]
fn job_retries_only_failed_deliveries_and_names_itself() {
    let job = started(Plan::RetryListed(Arc::from([])));
    let deliveries = in_every_status();
    assert_eq!(deliveries.iter().map(|delivery| delivery.status).collect::<Vec<_>>(), DeliveryStatus::ALL);
    for delivery in deliveries {
        let id = delivery.reference.delivery;
        let decision = consider_retry(&job, id, Some(&delivery), RetryContext::default(), t(600));
        match delivery.status {
            DeliveryStatus::Failed => {
                let JobDecision::Ask(fact @ DeliveryFact::RetryRequested(stored)) = &decision else {
                    panic!("{decision:?}")
                };
                assert_eq!((stored.round, stored.attempts, stored.at, stored.by.as_str()), (1, 1, t(600), "me"));
                assert_eq!(fact.job(), Some(job.reference.job));
            }
            status => {
                assert_eq!(
                    decision,
                    JobDecision::Refuse(Refused { delivery: id, why: RetryRefusal::NotFailed(status) })
                );
            }
        }
    }
}

#[test]
fn each_refusal_of_a_retry_has_a_word() {
    let job = started(Plan::RetryListed(Arc::from([])));
    let none = RetryContext::default();
    let cases = [
        (RetryContext { lead_anonymised: true, payload_gone: true, ..none }, RetryRefusal::LeadAnonymised),
        (RetryContext { interface_deleted: true, payload_gone: true, ..none }, RetryRefusal::InterfaceDeleted),
        (RetryContext { destination_deleted: true, ..none }, RetryRefusal::DestinationDeleted),
        (RetryContext { payload_gone: true, ..none }, RetryRefusal::PayloadGone),
    ];
    for (context, why) in cases {
        let decision = consider_retry(&job, id(1), Some(&failed()), context, t(600));
        assert_eq!(decision, JobDecision::Refuse(Refused { delivery: id(1), why }));
        assert_eq!(RetryRefusal::parse(why.as_str(), None), Some(why));
    }
    let unknown = JobDecision::Refuse(Refused { delivery: id(1), why: RetryRefusal::Unknown });
    assert_eq!(consider_retry(&job, id(1), None, none, t(600)), unknown);
    let mut other = job;
    other.reference.account = domain::AccountId::parse("other").unwrap();
    assert_eq!(consider_retry(&other, id(1), Some(&failed()), none, t(600)), unknown, "it belongs to another account");
    assert_eq!(RetryRefusal::parse("not_failed", None), None);
}

#[test]
fn forced_job_resends_successes_and_skips_open_deliveries() {
    let job = JobStarted { force: true, reason: "lost".into(), ..started(Plan::RetryListed(Arc::from([]))) };
    for delivery in in_every_status() {
        let id = delivery.reference.delivery;
        let decision = consider_retry(&job, id, Some(&delivery), RetryContext::default(), t(600));
        match delivery.status {
            DeliveryStatus::Failed | DeliveryStatus::Succeeded => {
                let JobDecision::Ask(DeliveryFact::RetryRequested(stored)) = &decision else { panic!("{decision:?}") };
                assert_eq!((stored.round, stored.reason.as_str()), (1, "lost"));
                assert_eq!(stored.is_resend(), delivery.status == DeliveryStatus::Succeeded);
            }
            status => {
                assert_eq!(
                    decision,
                    JobDecision::Refuse(Refused { delivery: id, why: RetryRefusal::NotFailed(status) })
                );
            }
        }
    }
}

#[test]
fn forced_recovery_sends_events_once_even_if_stored_twice() {
    let job = JobStarted { force: true, ..started(Plan::Recover(recovery())) };
    let (event, dst) = (event("e", "form", "lead.created"), destination_id("dst"));
    let consider = |delivery: &Delivery, sequence| {
        let candidate = Candidate { event: &event, sequence: LeadSequence(sequence), delivery: Some(delivery) };
        consider_event(&job, &dst, candidate, RetryContext::default(), t(600))
    };
    for delivery in in_every_status() {
        let decision = consider(&delivery, delivery.reference.lead_sequence.0);
        match delivery.status {
            DeliveryStatus::Failed | DeliveryStatus::Succeeded => {
                assert!(matches!(decision, JobDecision::Ask(DeliveryFact::RetryRequested(_))), "{decision:?}");
            }
            _ => assert_eq!(decision, JobDecision::Had),
        }
        if delivery.status == DeliveryStatus::Succeeded {
            assert_eq!(consider(&delivery, delivery.reference.lead_sequence.0 + 1), JobDecision::Had, "a copy");
        }
    }
}

#[test]
fn recovery_can_be_limited_to_event_types() {
    let registry = registry(Scope::Account, &["*"]);
    let event = domain::LeadEvent { received_at: t(160), ..event("e", "form", "email.open") };
    let of = |types: &[&str]| {
        let event_types = types.iter().map(|text| EventTypePattern::parse(text).unwrap()).collect();
        Recovery { event_types, ..recovery() }.reason_to_skip(&registry, &event)
    };
    assert_eq!((of(&[]), of(&["lead.created", "email.*"])), (None, None));
    assert_eq!(of(&["lead.created", "email.click"]), Some(JobDecision::NotWanted));
}

/// A registry in which `dst` was created at 150, for events of these types.
fn registry(scope: Scope, types: &[&str]) -> Registry {
    let mut registry = Registry::default();
    registry.apply(1, &fact(Change::AccountCreated(account())));
    registry.apply(2, &fact(Change::InterfaceCreated(interface("form"))));
    let created = Change::DestinationCreated(destination("dst", scope, types));
    registry.apply(3, &domain::RegistryFact { at: t(150), by: "test".into(), change: created });
    registry
}

#[test]
fn recovery_follows_the_current_configuration() {
    let form = || Scope::Interface(crate::common::interface_id("form"));
    let received = |at, interface, event_type| {
        let mut event = event("e", interface, event_type);
        event.received_at = t(at);
        event
    };
    let plain = registry(form(), &["lead.created"]);
    let mut overridden = plain.clone();
    let whole = destination("all", Scope::Account, &["*"]);
    overridden.apply(4, &fact(Change::DestinationCreated(whole)));
    let mut updated = plain.clone();
    updated.apply(4, &fact(Change::DestinationUpdated(destination("dst", form(), &["*"]))));
    let older = Recovery { include_before_created: true, ..recovery() };
    let mut test = received(150, "form", "lead.created");
    test.interface = domain::InterfaceId::tests();
    test.destination = Some(destination_id("dst"));
    let open = Recovery { until: None, ..recovery() };
    let cases = [
        ("in time", &plain, recovery(), received(150, "form", "lead.created"), None),
        ("before since", &plain, older.clone(), received(99, "form", "lead.created"), Some(JobDecision::NotWanted)),
        ("at until", &plain, recovery(), received(200, "form", "lead.created"), Some(JobDecision::NotWanted)),
        ("without until", &plain, open, received(200, "form", "lead.created"), None),
        ("another interface", &plain, recovery(), received(150, "page", "lead.created"), Some(JobDecision::NotWanted)),
        ("another type", &plain, recovery(), received(150, "form", "email.open"), Some(JobDecision::NotWanted)),
        ("a type of the updated destination", &updated, recovery(), received(150, "form", "email.open"), None),
        ("overridden", &overridden, recovery(), received(150, "form", "lead.created"), Some(JobDecision::NotWanted)),
        ("a test", &plain, recovery(), test, Some(JobDecision::NotWanted)),
        ("too old", &plain, recovery(), received(149, "form", "lead.created"), Some(JobDecision::BeforeCreated)),
        ("old and wanted", &plain, older, received(149, "form", "lead.created"), None),
        ("updated later", &updated, recovery(), received(149, "form", "email.open"), Some(JobDecision::BeforeCreated)),
    ];
    for (name, registry, recovery, event, expected) in cases {
        assert_eq!(recovery.reason_to_skip(registry, &event), expected, "{name}");
    }
}

#[test]
fn recovery_requests_missing_and_retries_failed_deliveries() {
    let (job, event, to) =
        (started(Plan::Recover(recovery())), event("e", "form", "lead.created"), destination_id("dst"));
    let consider = |delivery: Option<&Delivery>, context| {
        let candidate = Candidate { event: &event, sequence: LeadSequence(7), delivery };
        consider_event(&job, &to, candidate, context, t(600))
    };
    let JobDecision::Ask(fact) = consider(None, RetryContext::default()) else { panic!() };
    let DeliveryFact::Requested(stored) = &fact else { panic!("{fact:?}") };
    let of_router =
        domain::DeliveryRef { requested_at: Some(t(600)), ..(*crate::common::reference_of(&requested())).clone() };
    assert_eq!(*stored.reference, of_router, "the same as the router's request");
    assert_eq!((stored.at, stored.job), (t(600), Some(job.reference.job)));
    assert_eq!(fact.message_id(), requested().message_id());

    let deleted = RetryContext { interface_deleted: true, ..RetryContext::default() };
    let refused = Refused { delivery: stored.reference.delivery, why: RetryRefusal::InterfaceDeleted };
    assert_eq!(consider(None, deleted), JobDecision::Refuse(refused.clone()));
    for delivery in in_every_status() {
        let decision = consider(Some(&delivery), RetryContext::default());
        if delivery.status == DeliveryStatus::Failed {
            assert!(matches!(decision, JobDecision::Ask(DeliveryFact::RetryRequested(_))), "{decision:?}");
            assert_eq!(consider(Some(&delivery), deleted), JobDecision::Refuse(refused.clone()));
        } else {
            assert_eq!(decision, JobDecision::Had);
            assert_eq!(consider(Some(&delivery), deleted), JobDecision::Had, "the destination has it already");
        }
    }
    let skipped = abandon(&work(), FailureReason::Skipped, t(120));
    let Some(Effect::Append(skipped)) = skipped.first() else { panic!("{skipped:?}") };
    let skipped = Delivery::evolve(Some(in_every_status().remove(0)), skipped).unwrap();
    assert!(matches!(
        consider(Some(&skipped), RetryContext::default()),
        JobDecision::Ask(DeliveryFact::RetryRequested(_))
    ));
}

#[test]
fn senseless_job_plans_are_refused() {
    let listed = |ids: Vec<DeliveryId>| check(&Plan::RetryListed(ids.into()));
    assert_eq!(listed(vec![]), Err(JobRefusal::Nothing));
    assert_eq!(listed(vec![id(1), id(2), id(1)]), Err(JobRefusal::Twice(id(1))));
    assert_eq!(listed((0..MAX_LISTED as u128).map(id).collect()), Ok(()));
    assert_eq!(listed((0..=MAX_LISTED as u128).map(id).collect()), Err(JobRefusal::TooMany(MAX_LISTED + 1)));
    let until = |until| check(&Plan::Recover(Recovery { until: Some(until), ..recovery() }));
    assert_eq!(until(t(101)), Ok(()));
    assert_eq!(until(t(100)), Err(JobRefusal::NoTime { since: t(100), until: t(100) }));
}

fn fold(facts: &[JobFact]) -> Job {
    facts.iter().fold(None, |job, fact| Some(Job::evolve(job, fact).unwrap())).unwrap()
}

fn history() -> Vec<JobFact> {
    let begun = started(Plan::RetryListed(Arc::from([id(1), id(2)])));
    let mut facts = vec![JobFact::Started(begun.clone())];
    for step in 0..3_u32 {
        let mut progress = fold(&facts).progress;
        progress.count(&JobDecision::Refuse(Refused { delivery: id(1), why: RetryRefusal::Unknown }), false);
        progress.cursor = Cursor::Listed(step + 1);
        facts.push(progress.record(&begun, vec![], t(501 + i64::from(step))));
    }
    facts.insert(2, cancel(&fold(&facts), "you".into(), t(502)).unwrap().unwrap());
    facts.push(finish(&fold(&facts), JobOutcome::Cancelled, t(510)));
    facts
}

#[test]
fn job_state_follows_from_its_facts() {
    let facts = history();
    let statuses: Vec<_> = (1..=facts.len()).map(|end| fold(&facts[..end]).status()).collect();
    use JobStatus::{Cancelled, Cancelling, Running};
    assert_eq!(statuses, [Running, Running, Cancelling, Cancelling, Cancelling, Cancelled]);
    let job = fold(&facts);
    assert_eq!((job.progress.step, &job.progress.cursor, job.updated_at), (3, &Cursor::Listed(3), t(510)));
    assert_eq!((job.counts().examined, job.counts().refused[&RetryRefusal::Unknown]), (3, 3));
    assert_eq!(fold(&job.facts()), job, "the minimal facts give the same job");
    assert_eq!(cancel(&job, "you".into(), t(520)), Err(JobRefusal::Ended(JobOutcome::Cancelled)));
    assert_eq!(cancel(&fold(&facts[..3]), "them".into(), t(520)), Ok(None), "it is cancelling already");
}

#[test]
fn impossible_job_history_is_an_error() {
    let facts = history();
    assert!(matches!(Job::evolve(None, &facts[1]), Err(IllegalJob::NotStarted(_))));
    let mut other = started(Plan::RetryListed(Arc::from([])));
    other.reference.job = JobId::from_uuid(Uuid::from_u128(8));
    let other = fold(&[JobFact::Started(other)]);
    assert!(matches!(Job::evolve(Some(other), &facts[1]), Err(IllegalJob::OtherJob { .. })));
}

#[test]
fn dry_run_samples_its_first_deliveries() {
    let mut progress = Progress::default();
    for _ in 0..MAX_SAMPLED + 5 {
        progress.count(&JobDecision::Ask(requested()), true);
        progress.count(&JobDecision::Had, true);
    }
    assert_eq!((progress.sample.len(), progress.counts.requested), (MAX_SAMPLED, MAX_SAMPLED as u64 + 5));
    let mut real = Progress::default();
    real.count(&JobDecision::Ask(requested()), false);
    assert_eq!((real.sample.len(), real.counts.requested), (0, 1));
}

proptest! {
    #[test]
    fn repeated_job_facts_change_nothing(again in prop::collection::vec(0_usize..6, 0..10)) {
        let facts = history();
        let whole = fold(&facts);
        let mut repeated = facts.clone();
        repeated.extend(again.into_iter().map(|place| facts[place].clone()));
        prop_assert_eq!(fold(&repeated), whole);
    }

    /// In any period, there is at most one start more than the pace allows. After a pause, missed starts are not made
    /// up for.
    #[test]
    fn pace_spreads_turns_evenly(
        pace in 1..=Pace::FASTEST,
        pauses in prop::collection::vec(0..3_000_u64, 1..200),
    ) {
        let pace = Pace::per_second(pace).unwrap();
        let mut spread = Spread::new(pace);
        let (mut now, mut turns) = (Duration::ZERO, vec![]);
        for pause in pauses {
            now += Duration::from_millis(pause) / 10;
            let turn = spread.turn(now);
            now = now.max(turn);
            turns.push(now);
        }
        let slack = Duration::from_millis(10);
        for (first, one) in turns.iter().enumerate() {
            for (count, other) in turns[first..].iter().enumerate() {
                let least = pace.interval() * u32::try_from(count).unwrap();
                prop_assert!(*other - *one + slack >= least, "{count} turns within {:?}", *other - *one);
            }
        }
    }
}

#[test]
fn pace_is_between_1_and_the_maximum() {
    assert_eq!(Pace::per_second(0), None);
    assert_eq!(Pace::per_second(Pace::FASTEST + 1), None);
    assert_eq!(Pace::per_second(4).unwrap().interval(), Duration::from_millis(250));
    let mut spread = Spread::new(Pace::per_second(4).unwrap());
    let turns: Vec<_> = (0..4).map(|_| spread.turn(Duration::ZERO).as_millis()).collect();
    assert_eq!(turns, [0, 250, 500, 750]);
}
