//! When the state of a destination causes notices: tables, and properties of any history.

use std::time::Duration;

use domain::{
    AttemptOutcome, DeliveryFact, EventType, LeadSequence, Work,
    delivery::{DeliveryAttempted, Effect, FailureReason, NextStep, after_attempt, request},
    notice::{About, DestinationState, NoticeCalledFor, Observed, Reaction, Rules, Window},
    registry::DeactivationCause,
};
use proptest::prelude::*;

use crate::common::{abandoned, event, execution, refused, status, t};

const RULES: Rules = Rules { window: Duration::from_secs(900), repeated: 3 };

/// A final attempt at this second.
fn attempted(event_type: &str, second: i64, outcome: AttemptOutcome) -> DeliveryAttempted {
    let event = event(&format!("e{second}"), "form", event_type);
    let requested = request(&event, LeadSequence(1), &crate::common::destination_id("dst"), t(0));
    let work = Work::requested_by(&requested).unwrap();
    let policy =
        domain::RetryPolicy { deactivate: domain::policy::Deactivate::Never, ..domain::RetryPolicy::standard() };
    let id = u128::try_from(second).unwrap();
    let effects = after_attempt(&work, &policy, execution(id, t(second), outcome));
    let fact = effects.into_iter().find_map(|effect| match effect {
        Effect::Append(DeliveryFact::Attempted(fact)) => Some(fact),
        _ => None,
    });
    let fact = fact.unwrap();
    let failed = !matches!(fact.next_step, NextStep::Succeeded);
    DeliveryAttempted {
        next_step: if failed { NextStep::Failed(FailureReason::Exhausted) } else { NextStep::Succeeded },
        deactivated: None,
        trace: None,
        ..fact
    }
}

fn failed(second: i64) -> DeliveryFact {
    DeliveryFact::Attempted(attempted("lead.created", second, status(503)))
}

fn succeeded(second: i64) -> DeliveryFact {
    DeliveryFact::Attempted(attempted("lead.created", second, status(200)))
}

fn deactivating(second: i64) -> DeliveryFact {
    let fact = attempted("lead.created", second, status(410));
    DeliveryFact::Attempted(DeliveryAttempted { deactivated: Some(DeactivationCause::Gone), ..fact })
}

/// The state of a destination, and the number of facts that it has observed.
struct Scene {
    watched: DestinationState,
    sequence: u64,
}

impl Scene {
    fn new() -> Self {
        Self { watched: DestinationState::new(failed(1).reference()), sequence: 0 }
    }

    /// Observes a fact one second after it happened.
    fn see(&mut self, fact: &DeliveryFact) -> Vec<Reaction> {
        self.sequence += 1;
        let now = fact.at() + Duration::from_secs(1);
        let seen = Observed { fact, sequence: self.sequence, published_at: fact.at(), now };
        self.watched.observe(seen, RULES)
    }

    /// The notices and events that a fact causes, in words.
    fn words(&mut self, fact: &DeliveryFact) -> Vec<String> {
        self.see(fact).iter().map(word).collect()
    }

    fn tick(&mut self, second: i64) -> Option<NoticeCalledFor> {
        self.watched.tick(RULES, t(second))
    }
}

fn word(called: &Reaction) -> String {
    match called {
        Reaction::Event(operation) => operation.event_type.to_string(),
        Reaction::Notice(notice) => match &notice.about {
            About::Failure { .. } => "failure".into(),
            About::FurtherFailures { window, .. } => format!("{} more", window.count),
            About::RepeatedFailures { failures, .. } => format!("{failures} in a row"),
            About::Recovery { .. } => "recovery".into(),
            About::Lead { .. } => "lead".into(),
            About::FurtherLeads { window, .. } => format!("{} more leads", window.count),
        },
    }
}

#[test]
fn first_failure_is_mailed_at_once_and_others_in_digests() {
    let mut scene = Scene::new();
    assert_eq!(scene.words(&failed(10)), ["failure", "leadline.delivery.failed"]);
    assert_eq!(scene.words(&failed(20)), ["leadline.delivery.failed"]);
    let gone = abandoned(&crate::common::work(), FailureReason::PayloadGone, t(30));
    assert_eq!(scene.words(&gone), ["3 in a row", "leadline.delivery.failed"]);
    let other = DeliveryFact::Attempted(attempted("lead.created", 40, refused()));
    scene.words(&other);
    assert_eq!(scene.tick(900), None);
    let call = scene.tick(912).unwrap();
    let About::FurtherFailures { window, .. } = &call.about else { panic!("{call:?}") };
    assert_eq!((window.count, &window.examples[..], call.since), (3, &[2, 3, 4][..], failed(20).at()));
    let errors: Vec<_> = window.errors.iter().map(|error| (error.status, error.count)).collect();
    assert_eq!(errors, [(503, 1), (0, 1), (999, 1)]);
    // A new failure belongs to the next window. After a window without failures, the next failure has its own notice.
    assert_eq!(scene.words(&failed(950)), ["leadline.delivery.failed"]);
    assert!(scene.tick(1_812).is_some());
    assert_eq!(scene.tick(2_712), None);
    assert_eq!(scene.words(&failed(3_000)), ["failure", "leadline.delivery.failed"]);
}

#[test]
fn without_a_window_each_failure_has_its_own_notice() {
    let mut scene = Scene::new();
    let rules = Rules { window: Duration::ZERO, repeated: 0 };
    for sequence in 1..=20 {
        let fact = failed(i64::try_from(sequence).unwrap());
        let seen = Observed { fact: &fact, sequence, published_at: fact.at(), now: fact.at() };
        let words: Vec<_> = scene.watched.observe(seen, rules).iter().map(word).collect();
        assert_eq!(words, ["failure", "leadline.delivery.failed"]);
    }
}

#[test]
fn repeated_failures_and_recovery_cause_one_notice_each() {
    let mut scene = Scene::new();
    assert_eq!(scene.words(&failed(10)), ["failure", "leadline.delivery.failed"]);
    assert_eq!(scene.words(&succeeded(11)), [""; 0], "there was no alert before");
    for second in [12, 13] {
        assert_eq!(scene.words(&failed(second)), ["leadline.delivery.failed"]);
    }
    assert_eq!(scene.words(&failed(14)), ["3 in a row", "leadline.delivery.failed"]);
    assert_eq!(scene.words(&failed(15)), ["leadline.delivery.failed"]);
    let recovered = scene.see(&succeeded(16));
    assert_eq!(recovered.iter().map(word).collect::<Vec<_>>(), ["recovery", "leadline.destination.recovered"]);
    let Reaction::Notice(notice) = &recovered[0] else { panic!("{recovered:?}") };
    let since = Some(failed(12).at());
    assert!(matches!(&notice.about, About::Recovery { failing_since, was_alerted: true, was_deactivated: false, .. }
            if *failing_since == since));
    assert_eq!(scene.words(&succeeded(17)), [""; 0]);
}

#[test]
fn deactivated_destination_recovers_with_a_later_success() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.words(&deactivating(10)),
        ["failure", "leadline.delivery.failed", "leadline.destination.deactivated"]
    );
    // Two attempts ended at once, and one was in flight.
    assert_eq!(scene.words(&deactivating(10)), ["leadline.delivery.failed"]);
    assert_eq!(scene.words(&succeeded(11)), [""; 0]);
    assert_eq!(scene.words(&succeeded(500)), ["recovery", "leadline.destination.recovered"]);
    assert_eq!(scene.words(&deactivating(600)), ["leadline.delivery.failed", "leadline.destination.deactivated"]);
    // It was enabled, and deactivated again before any success.
    assert_eq!(scene.words(&deactivating(700)), ["leadline.delivery.failed", "leadline.destination.deactivated"]);
}

#[test]
fn operational_events_cause_no_events_and_tests_cause_nothing() {
    let mut scene = Scene::new();
    for event_type in [EventType::DELIVERY_FAILED, EventType::DESTINATION_DEACTIVATED, EventType::DESTINATION_RECOVERED]
    {
        for second in 10..30 {
            let fact = attempted(event_type, second, status(410));
            let fact = DeliveryAttempted { deactivated: Some(DeactivationCause::Gone), ..fact };
            let called = scene.see(&DeliveryFact::Attempted(fact));
            assert!(called.iter().all(|called| matches!(called, Reaction::Notice(_))), "{called:?}");
        }
        let called = scene.see(&DeliveryFact::Attempted(attempted(event_type, 100, status(200))));
        assert!(called.iter().all(|called| matches!(called, Reaction::Notice(_))), "{called:?}");
    }
    let mut scene = Scene::new();
    for second in 1..10 {
        let test = attempted(EventType::WEBHOOK_TEST, second, status(503));
        assert_eq!(scene.words(&DeliveryFact::Attempted(test)), [""; 0]);
    }
}

#[test]
fn known_fact_causes_no_notice() {
    let mut scene = Scene::new();
    scene.see(&failed(10));
    let before = scene.watched.clone();
    scene.sequence = 0;
    assert_eq!(scene.see(&failed(10)), []);
    assert_eq!(scene.watched, before);
}

proptest! {
    /// Every failure is reported exactly once: in its own notice or counted in a digest.
    #[test]
    fn every_failure_is_reported_exactly_once(steps in prop::collection::vec((0..400_i64, any::<bool>()), 0..200)) {
        let (mut scene, mut second, mut failures) = (Scene::new(), 1, 0_u64);
        let mut called = vec![];
        for (pause, fails) in steps {
            second += pause + 1;
            called.extend(scene.tick(second).map(Reaction::Notice));
            failures += u64::from(fails);
            called.extend(scene.see(&if fails { failed(second) } else { succeeded(second) }));
        }
        called.extend(scene.tick(second + 10_000).map(Reaction::Notice));
        let counted: u64 = called.iter().map(|called| match called {
            Reaction::Notice(NoticeCalledFor { about: About::Failure { .. }, .. }) => 1,
            Reaction::Notice(NoticeCalledFor { about: About::FurtherFailures { window, .. }, .. }) => window.count,
            _ => 0,
        }).sum();
        prop_assert_eq!(counted, failures);
        let mut ids: Vec<_> = called.iter().filter_map(|called| match called {
            Reaction::Notice(notice) => Some(notice.notice),
            Reaction::Event(_) => None,
        }).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), count);
    }

    /// Any number of failures causes at most two notices and one alert per window.
    #[test]
    fn failure_storm_causes_few_notices(count in 1..500_i64) {
        let mut scene = Scene::new();
        let mut notices = 0;
        for n in 0..count {
            // One failure per second.
            let called = scene.see(&failed(1 + n));
            notices += called.iter().filter(|called| matches!(called, Reaction::Notice(_))).count();
        }
        prop_assert!(notices <= 3, "{} notices", notices);
        if let Some(window) = &scene.watched.health.window {
            prop_assert!(window.errors.len() <= Window::MAX_ERRORS);
            prop_assert!(window.examples.len() <= Window::MAX_EXAMPLES);
        }
    }

    /// A process that restarts after any fact and reads again from any earlier position reaches the same state.
    #[test]
    fn reading_facts_again_changes_nothing(fails in prop::collection::vec(any::<bool>(), 1..60), from in 0..60_usize) {
        let facts: Vec<_> = fails.iter().enumerate().map(|(n, fails)| {
            let second = i64::try_from(n).unwrap() * 100 + 1;
            if *fails { failed(second) } else { succeeded(second) }
        }).collect();
        let mut scene = Scene::new();
        for fact in &facts {
            scene.see(fact);
        }
        let before = scene.watched.clone();
        let from = from.min(facts.len());
        scene.sequence = from as u64;
        for fact in &facts[from..] {
            prop_assert_eq!(scene.see(fact), vec![]);
        }
        prop_assert_eq!(scene.watched, before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A flapping destination causes at most one alert per quiet period, and one recovery for each alert.
    #[test]
    fn flapping_destination_causes_few_notices(fails in 3..20_i64, hours in 1..6_i64) {
        let mut scene = Scene::new();
        let mut words = vec![];
        for second in (5..=hours * 3_600).step_by(5) {
            words.extend(scene.tick(second).as_ref().map(|notice| word(&Reaction::Notice(notice.clone()))));
            let works = second / 5 % (fails + 1) == 0;
            words.extend(scene.words(&if works { succeeded(second) } else { failed(second) }));
        }
        let count = |what: &str| words.iter().filter(|word| word.contains(what)).count();
        // A window lasts a quarter of an hour; the quiet period is four windows.
        let hours = usize::try_from(hours).unwrap();
        prop_assert_eq!(count("in a row"), hours);
        prop_assert_eq!((count("recovery"), count("recovered")), (hours, hours));
        prop_assert!(count("more") + count("failure") <= 4 * hours + 1, "{:?}", words);
    }
}
