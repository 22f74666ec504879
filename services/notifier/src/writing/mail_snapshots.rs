//! Every mail as text and as HTML, byte for byte, with values that look like markup.

use std::{sync::Arc, time::Duration};

use domain::{
    AccountId, AttemptId, AttemptOutcome, DeliveryFact, DeliveryId, DestinationId, ErrorKind, LeadEvent, LeadId,
    LeadSequence, Registry, RegistryFact, RetryPolicy, Work,
    delivery::{Effect, Execution, FailureReason, RequestLine, abandon, after_attempt, request},
    notice::{ErrorCount, LeadExample, LeadWindow, NoticeKind, Window},
    policy::{Deactivate, QuickRetries},
    registry::{Change, DeactivatedBy, Deactivation, DeactivationCause, Destination, Interface, RequestShape, Scope},
};
use jiff::Timestamp;

use crate::writing::{
    body::Content,
    samples,
    templates::{self, Footer},
};

const BRAND: &str = "Acme <Cloud> & Söhne";
const NAME: &str = "CRM \"<b>\" & 'co'";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn event() -> LeadEvent {
    LeadEvent {
        occurred_at: at(0),
        received_at: at(1),
        payload: r#"{"name":"</pre><script>alert('x')</script>","size":1.10}"#.into(),
        ..samples::event()
    }
}

fn destination() -> Destination {
    Destination {
        account: AccountId::parse("acme").unwrap(),
        id: DestinationId::parse("dst_1").unwrap(),
        name: NAME.into(),
        scope: Scope::Account,
        url: "https://crm.example/hook?a=1&b=2".into(),
        condition: None,
        event_types: vec![],
        timeout: Destination::DEFAULT_TIMEOUT,
        concurrency: Destination::DEFAULT_CONCURRENCY,
        retry: RetryPolicy::standard(),
        rate: None,
        breaker_failures: Destination::DEFAULT_BREAKER_FAILURES,
        ordered: false,
        request: RequestShape::default(),
        transport: Arc::default(),
        token: None,
        enabled: true,
        deactivated: None,
        skip_held_before: None,
        deleted: false,
    }
}

fn interface() -> Interface {
    let LeadEvent { account, interface, .. } = event();
    Interface {
        account,
        id: interface,
        name: "Form <1>".into(),
        retention: None,
        lead_notification_emails: vec![],
        searchable: vec![],
        unconfirmed: vec![],
        deleted: false,
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    let change = Change::DestinationCreated(destination());
    registry.apply(1, &RegistryFact { at: at(0), by: "test".into(), change });
    registry
}

fn work() -> Work {
    let requested = request(&event(), LeadSequence(1), &destination().id, at(2));
    Work { attempt: 8, ..Work::requested_by(&requested).unwrap() }
}

fn fact_of(effects: Vec<Effect>) -> DeliveryFact {
    let facts = effects.into_iter().filter_map(|effect| match effect {
        Effect::Append(fact) => Some(fact),
        _ => None,
    });
    facts.last().unwrap()
}

fn failed(outcome: AttemptOutcome) -> DeliveryFact {
    let execution = Execution {
        attempt_id: AttemptId::from_uuid(uuid::Uuid::nil()),
        started_at: at(10),
        duration: Duration::from_secs(3_600),
        request: RequestLine { method: "POST".into(), url: destination().url },
        outcome,
        exchange: None,
        destination_off: false,
        others_succeeded: false,
        trace: None,
    };
    let standard = RetryPolicy::standard();
    let quick = QuickRetries { count: 0, ..standard.quick };
    fact_of(after_attempt(&work(), &RetryPolicy { schedule: vec![], quick, ..standard }, execution))
}

fn refused() -> DeliveryFact {
    let excerpt = "bad <b>field</b>\nname: 'x' & \"y\"\n".into();
    failed(AttemptOutcome::Response { status: 422, excerpt, retry_after: None })
}

fn abandoned(reason: FailureReason) -> DeliveryFact {
    fact_of(abandon(&work(), reason, at(20)))
}

fn window(count: u64, errors: Vec<ErrorCount>) -> Window {
    Window { from: at(0), until: at(900), count, since: None, errors, examples: vec![1] }
}

fn lead_window(count: u64, leads: &[&str]) -> LeadWindow {
    let example = |lead: &&str| LeadExample { lead: LeadId::parse(lead).unwrap(), received_at: at(5), sequence: 7 };
    LeadWindow { from: at(0), until: at(900), count, since: None, examples: leads.iter().map(example).collect() }
}

fn deactivation(cause: DeactivationCause, is_new: bool) -> Deactivation {
    let delivery = is_new.then(|| DeactivatedBy {
        delivery: DeliveryId::from_uuid(uuid::Uuid::nil()),
        lead: event().lead,
        event_id: event().event_id,
        attempts: 8,
        status_code: 999,
        error_kind: Some(ErrorKind::Dns),
    });
    Deactivation { at: at(30), cause, first_failed_at: is_new.then(|| at(3)), delivery }
}

fn check(name: &str, pages: impl IntoIterator<Item = Content>) {
    let mut shown = String::new();
    for page in pages {
        shown += &format!("{}{}\n=====\n", page.text(), page.html(BRAND));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, shown) });
}

#[test]
fn failures() {
    let no_response = failed(AttemptOutcome::NoResponse { kind: ErrorKind::Dns, message: "no <such> host".into() });
    let facts = [
        (refused(), registry()),
        (no_response, Registry::default()),
        (abandoned(FailureReason::Crashed), registry()),
        (abandoned(FailureReason::PayloadGone), Registry::default()),
    ];
    check("failure", facts.map(|(fact, registry)| templates::failure(&fact, &registry)));
}

#[test]
fn further_failures() {
    let error = |status, kind, count| ErrorCount { status, kind, count };
    let errors = vec![error(500, None, 1), error(0, None, 2), error(999, Some(ErrorKind::Timeout), 3)];
    let unnamed = Destination { name: String::new(), ..destination() };
    check(
        "further_failures",
        [
            templates::further_failures(
                &destination(),
                &window(9, errors),
                &[refused(), abandoned(FailureReason::Crashed)],
            ),
            templates::further_failures(&unnamed, &window(1, vec![error(422, None, 1)]), &[]),
        ],
    );
}

#[test]
fn repeated_failures() {
    let pages = [Some(refused()), Some(abandoned(FailureReason::Crashed)), None]
        .map(|last| templates::repeated_failures(&destination(), 10, at(3), last.as_ref()));
    check("repeated_failures", pages);
}

#[test]
fn recoveries() {
    check("recovery", [Some(at(3)), None].map(|since| templates::recovery(&destination(), at(40), since)));
}

#[test]
fn deactivations() {
    let standard = destination();
    let retry = RetryPolicy { deactivate: Deactivate::IfNothingSucceeded, ..RetryPolicy::standard() };
    let lenient = Destination { retry, ..destination() };
    let retry = RetryPolicy { deactivate: Deactivate::OnExhaustion, ..RetryPolicy::standard() };
    let strict = Destination { retry, ..destination() };
    let (exhausted, gone) = (DeactivationCause::Exhausted, DeactivationCause::Gone);
    let pages = [(standard, gone, true), (lenient, exhausted, true), (strict, exhausted, false)]
        .map(|(destination, cause, is_new)| templates::deactivation(&destination, &deactivation(cause, is_new), 12));
    check("deactivation", pages);
}

#[test]
fn leads() {
    let text = LeadEvent { payload: "no <json>".into(), ..event() };
    check("new_lead", [event(), text].map(|event| templates::new_lead(&event, &interface())));
    let windows = [lead_window(1, &["lead-2"]), lead_window(5, &["lead-2", "lead-3"])];
    check("further_leads", windows.map(|window| templates::further_leads(&interface(), &window)));
}

#[test]
fn confirmations() {
    let account = event().account;
    let urls = [Some("https://leads.example/confirm/a.b?c=d&e".to_owned()), None];
    check("confirmation", urls.map(|url| templates::confirmation(&account, url, "code-1")));
}

/// A mail about each kind of notice: a new kind needs a template.
fn page_of(kind: NoticeKind) -> Content {
    match kind {
        NoticeKind::Error => templates::failure(&refused(), &registry()),
        NoticeKind::Deactivation => {
            templates::deactivation(&destination(), &deactivation(DeactivationCause::Gone, true), 0)
        }
        NoticeKind::RepeatedFailures => templates::repeated_failures(&destination(), 10, at(3), None),
        NoticeKind::Recovery => templates::recovery(&destination(), at(40), None),
        NoticeKind::Lead => templates::new_lead(&event(), &interface()),
        NoticeKind::Confirmation => templates::confirmation(&event().account, None, "code-1"),
    }
}

#[test]
fn every_kind_of_notice_has_a_mail_with_a_footer() {
    for kind in NoticeKind::ALL {
        for left_out in [0, 1, 7] {
            let url = |page: &str| Some(format!("https://leads.example/{page}/a?b=c&d"));
            let [details_url, unsubscribe_url] =
                ["details", "unsubscribe"].map(|page| url(page).filter(|_| left_out > 0));
            let page = templates::with_footer(page_of(kind), Footer { kind, details_url, unsubscribe_url, left_out });
            let (text, html) = (page.text(), page.html(BRAND));
            for part in ["No more mails about ", "/details/a?b=c", "left out before this one"] {
                assert_eq!(text.contains(part), left_out > 0, "{kind:?} {part}: {text}");
                assert_eq!(html.contains(part), left_out > 0, "{kind:?} {part}: {html}");
            }
            assert!(!html.contains("<b>") && !html.contains("<script") && !html.contains("c&d"), "{html}");
        }
    }
}

#[test]
fn the_pages_behind_the_links_show_the_current_state() {
    let delivery = Some(DeliveryId::from_uuid(uuid::Uuid::nil()));
    let disabled = Destination { enabled: false, ..destination() };
    let deactivated = Destination { deactivated: Some(deactivation(DeactivationCause::Gone, false)), ..destination() };
    let pages = [(destination(), None, delivery), (disabled, Some(3), None), (deactivated, None, None)]
        .map(|(destination, held, delivery)| templates::destination_details(&destination, held, delivery));
    let lead = event().lead;
    let leads = [Some(&lead), None].map(|lead| templates::lead_details(&event().account, &event().interface, lead));
    check("details", pages.into_iter().chain(leads));
}
