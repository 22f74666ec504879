//! Conditions on payloads: the meaning of each operator, error positions, and the effect on routing.

use domain::{
    Condition, LeadEvent, Registry,
    condition::Found,
    json,
    registry::{Account, Change, Destination, Routing, Scope},
    routing::{Outcome, deliveries_at_most, destinations_for, explain, required_destinations},
};
use proptest::prelude::*;

use crate::common::{account, destination, destination_id, event, fact, interface, interface_id};

const LEAD: &str = r#"{"country": "DE", "budget": 5000.00, "big": 9007199254740993, "tags": ["vip", 7], "open": true,
    "nothing": null, "who": {"name": "Ada", "a.b": 1}, "since": "2026-03-01", "twice": 1, "twice": 2}"#;

fn holds(condition: &str, payload: &str) -> bool {
    Condition::parse(condition).unwrap().holds(&json::parse(payload.as_bytes()).unwrap())
}

#[test]
fn operators_follow_their_table() {
    for (condition, expected) in [
        (r#"{"payload.country": "DE"}"#, true),
        (r#"{"payload.country": {"eq": "de"}}"#, false),
        (r#"{"payload.country": {"in": ["DE", "AT"]}, "payload.budget": {"gte": 5000}}"#, true),
        (r#"{"payload.country": {"in": ["DE", "AT"]}, "payload.budget": {"gt": 5000}}"#, false),
        (r#"{"payload.budget": 5e3}"#, true),
        (r#"{"payload.budget": {"lte": 5000, "lt": 5000.000000000000000000001}}"#, true),
        (r#"{"payload.big": {"gt": 9007199254740992}}"#, true),
        (r#"{"payload.big": 9007199254740992}"#, false),
        (r#"{"payload.country": {"ne": "AT"}}"#, true),
        (r#"{"payload.country": {"ne": 7}}"#, true),
        (r#"{"payload.country": {"nin": ["AT", "CH"]}}"#, true),
        (r#"{"payload.country": {"nin": ["AT", "DE"]}}"#, false),
        (r#"{"payload.since": {"gte": "2026-02-01", "lt": "2026-04"}}"#, true),
        (r#"{"payload.who.name": {"starts_with": "Ad", "contains": "d"}}"#, true),
        (r#"{"payload.who.name": {"starts_with": "ad"}}"#, false),
        (r#"{"payload.tags": {"contains": "vip"}}"#, true),
        (r#"{"payload.tags": {"contains": 7.0}}"#, true),
        (r#"{"payload.tags": {"contains": "vi"}}"#, false),
        (r#"{"payload.tags.0": "vip", "payload.tags.1": 7}"#, true),
        (r#"{"payload.tags.2": {"exists": true}}"#, false),
        (r#"{"payload.who.a\\.b": 1}"#, true),
        (r#"{"payload.open": true}"#, true),
        (r#"{"payload.nothing": null}"#, true),
        (r#"{"payload.nothing": {"exists": true}}"#, true),
        (r#"{"payload.twice": 2}"#, true),
        (r#"{"payload": {"exists": true}}"#, true),
        (r#"{"or": [{"payload.country": "AT"}, {"payload.budget": {"gt": 1}}]}"#, true),
        (r#"{"or": [{"payload.country": "AT"}, {"payload.budget": {"gt": 9e9}}]}"#, false),
        (r#"{"and": [{"payload.country": "DE"}, {"payload.open": true}]}"#, true),
        (r#"{"not": {"payload.country": "AT"}}"#, true),
        (r#"{"payload.country": {"not": {"in": ["DE"]}}}"#, false),
        (r#"{"not": {"not": {"payload.country": "DE"}}}"#, true),
    ] {
        assert_eq!(holds(condition, LEAD), expected, "{condition}");
    }
}

#[test]
fn missing_and_mistyped_fields_are_false() {
    let operators = [
        r#""x""#,
        r#"{"eq": null}"#,
        r#"{"ne": "x"}"#,
        r#"{"in": ["x"]}"#,
        r#"{"nin": ["x"]}"#,
        r#"{"gt": 0}"#,
        r#"{"lte": "x"}"#,
        r#"{"starts_with": ""}"#,
        r#"{"contains": "x"}"#,
        r#"{"exists": true}"#,
    ];
    for operator in operators {
        assert!(!holds(&format!(r#"{{"payload.who.gone": {operator}}}"#), LEAD), "{operator}");
        assert!(holds(&format!(r#"{{"not": {{"payload.who.gone": {operator}}}}}"#), LEAD), "{operator}");
    }
    assert!(holds(r#"{"payload.gone": {"exists": false}}"#, LEAD));
    for wrong in [
        r#"{"payload.country": {"gt": 0}}"#,
        r#"{"payload.country": {"lt": 0}}"#,
        r#"{"payload.budget": {"gt": "0"}}"#,
        r#"{"payload.budget": "5000"}"#,
        r#"{"payload.budget": {"contains": "5"}}"#,
        r#"{"payload.who": {"contains": "name"}}"#,
        r#"{"payload.open": {"gte": 0}}"#,
        r#"{"payload.country.code": {"exists": true}}"#,
        r#"{"payload.tags.00x": {"exists": true}}"#,
    ] {
        assert!(!holds(wrong, LEAD), "{wrong}");
    }
    for payload in ["null", "[]", "7", "\"text\"", "{}"] {
        assert!(!holds(r#"{"payload.country": "DE"}"#, payload), "{payload}");
    }
}

#[test]
fn errors_name_their_position() {
    let deep = |levels: usize| format!("{}{{\"payload.a\": 1}}{}", "{\"not\": ".repeat(levels), "}".repeat(levels));
    let many = |count: usize| format!(r#"{{"payload.a": {{"in": [{}1]}}}}"#, "1,".repeat(count - 1));
    assert!(Condition::parse(&deep(Condition::MAX_DEPTH)).is_ok());
    assert!(Condition::parse(&many(Condition::MAX_TERMS)).is_ok());
    for (text, place, says) in [
        ("", "", "is not JSON: expected a value"),
        ("{\"payload.a\": 1", "", "is not JSON: expected a comma"),
        ("7", "", "has to be a JSON object"),
        ("{}", "", "has no term"),
        (r#"{"country": "DE"}"#, "country", "paths begin with payload"),
        (r#"{"payload.": "DE"}"#, "payload.", "has an empty part"),
        (r#"{"payload.a\\x": "DE"}"#, "payload.a\\x", "backslash"),
        (r#"{"payload.a": ["DE"]}"#, "payload.a", "write {\"in\": […]}"),
        (r#"{"payload.a": {}}"#, "payload.a", "names no operator"),
        (r#"{"payload.a": {"atleast": 1}}"#, "payload.a.atleast", "is not an operator; the operators are eq, ne"),
        (r#"{"payload.a": {"gte": [1]}}"#, "payload.a.gte", "takes a number or a text, not a list"),
        (r#"{"payload.a": {"in": "DE"}}"#, "payload.a.in", "takes a list of values, not a text"),
        (r#"{"payload.a": {"in": []}}"#, "payload.a.in", "this one is empty"),
        (r#"{"payload.a": {"in": [{}]}}"#, "payload.a.in", "not an object"),
        (r#"{"payload.a": {"exists": 1}}"#, "payload.a.exists", "takes true or false, not a number"),
        (r#"{"payload.a": {"starts_with": 1}}"#, "payload.a.starts_with", "takes a text, not a number"),
        (r#"{"or": {"payload.a": 1}}"#, "or", "takes a list of one or more conditions, not an object"),
        (r#"{"or": []}"#, "or", "takes a list of one or more"),
        (r#"{"or": [{"payload.a": 1}, {"payload.b": {"gt": null}}]}"#, "or[1].payload.b.gt", "not null"),
        (r#"{"not": [{"payload.a": 1}]}"#, "not", "takes a condition, which is an object, not a list"),
        (r#"{"payload.a": {"not": {"lt": true}}}"#, "payload.a.not.lt", "not a truth value"),
    ] {
        let error = Condition::parse(text).unwrap_err();
        assert_eq!(error.place, place, "{text}: {error}");
        assert!(error.problem.contains(says), "{text}: {error}");
    }
    let too_deep = Condition::parse(&deep(Condition::MAX_DEPTH + 1)).unwrap_err();
    assert!(too_deep.problem.contains("more than 8 levels"), "{too_deep}");
    let too_many = Condition::parse(&many(Condition::MAX_TERMS + 1)).unwrap_err();
    assert!(too_many.problem.contains("100 is the limit"), "{too_many}");
    let long = format!(r#"{{"payload.a": "{}"}}"#, "x".repeat(Condition::MAX_BYTES));
    assert!(Condition::parse(&long).unwrap_err().problem.contains("8192 is the limit"));
    let parts = format!(r#"{{"payload{}": 1}}"#, ".a".repeat(Condition::MAX_PARTS));
    assert!(Condition::parse(&parts).unwrap_err().problem.contains("32 is the limit"));
}

#[test]
fn explanation_names_the_first_unmet_term() {
    for (condition, place, found) in [
        (
            r#"{"payload.country": "DE", "payload.budget": {"gte": 5000, "lt": 5000}}"#,
            "payload.budget.lt",
            Found::Value("a number"),
        ),
        (r#"{"payload.gone": "DE", "payload.budget": 1}"#, "payload.gone", Found::Missing),
        (r#"{"or": [{"payload.gone": 1}, {"payload.budget": 1}]}"#, "or", Found::NoAlternative),
        (
            r#"{"and": [{"payload.country": "DE"}, {"payload.open": false}]}"#,
            "and[1].payload.open",
            Found::Value("a truth value"),
        ),
        (r#"{"payload.country": {"not": {"eq": "DE"}}}"#, "payload.country.not", Found::Negated),
    ] {
        let unmet = Condition::parse(condition).unwrap().check(&json::parse(LEAD.as_bytes()).unwrap()).unwrap_err();
        assert_eq!((unmet.place.as_str(), unmet.found), (place, found), "{condition}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_condition_or_an_error(
        text in "[{}\\[\\]\":,. \\\\a-z0-9]{0,60}|\\{\"(and|or|not|payload\\.a)\": [{}\\[\\]\":,a-z0-9 ]{0,40}\\}",
        payload in "[{}\\[\\]\":,a-z0-9 ]{0,40}",
    ) {
        if let (Ok(condition), Ok(payload)) = (Condition::parse(&text), json::parse(payload.as_bytes())) {
            prop_assert_eq!(condition.holds(&payload), condition.check(&payload).is_ok());
            prop_assert_eq!(Condition::parse(condition.as_str()).unwrap(), condition);
        }
    }
}

fn of_interface(id: &str) -> Scope {
    Scope::Interface(interface_id(id))
}

fn conditional(id: &str, scope: Scope, condition: &str) -> Destination {
    Destination { condition: Some(Condition::parse(condition).unwrap()), ..destination(id, scope, &["*"]) }
}

fn registry(routing: Routing, destinations: Vec<Destination>) -> Registry {
    let mut registry = Registry::default();
    let always =
        [Change::AccountCreated(Account { routing, ..account() }), Change::InterfaceCreated(interface("form"))];
    let created = destinations.into_iter().map(Change::DestinationCreated);
    for (sequence, change) in (1..).zip(always.into_iter().chain(created)) {
        registry.apply(sequence, &fact(change));
    }
    registry
}

fn saying(payload: &'static str) -> LeadEvent {
    LeadEvent { payload: payload.into(), ..event("e", "form", "lead.created") }
}

fn routed(registry: &Registry, event: &LeadEvent) -> Vec<String> {
    destinations_for(registry, event).iter().map(|destination| destination.id.to_string()).collect()
}

#[test]
fn destination_overrides_only_for_events_that_meet_its_condition() {
    let destinations = || {
        vec![
            conditional("rich", Scope::Account, r#"{"payload.budget": {"gte": 5000}}"#),
            destination("rest", of_interface("form"), &["*"]),
        ]
    };
    let registry_of = |routing| registry(routing, destinations());
    let overriding = registry_of(Routing::Override);
    for (payload, expected) in [
        (r#"{"budget": 5000}"#, &["rich"][..]),
        (r#"{"budget": 4999.99}"#, &["rest"]),
        (r#"{"budget": "5000"}"#, &["rest"]),
        ("{}", &["rest"]),
        ("", &["rest"]),
    ] {
        assert_eq!(routed(&overriding, &saying(payload)), expected, "{payload}");
        assert_eq!(deliveries_at_most(&overriding, &saying(payload)), 1);
    }
    let all = registry_of(Routing::All);
    assert_eq!(routed(&all, &saying(r#"{"budget": 9000}"#)), ["rest", "rich"]);
    assert_eq!(routed(&all, &saying(r#"{"budget": 1}"#)), ["rest"]);
    assert_eq!(deliveries_at_most(&all, &saying(r#"{"budget": 1}"#)), 2);
    // An event that names its destination goes there, without regard to the condition.
    let test = LeadEvent { destination: Some(destination_id("rich")), ..saying("{}") };
    assert_eq!(routed(&all, &test), ["rich"]);
}

#[test]
fn missing_deliveries_and_explanations_respect_the_condition() {
    let rich = || conditional("rich", Scope::Account, r#"{"payload.budget": {"gte": 5000}}"#);
    let any = || destination("rich", Scope::Account, &["*"]);
    let (then, now) = (registry(Routing::Override, vec![any()]), registry(Routing::Override, vec![rich()]));
    assert_eq!(required_destinations(&then, &now, &saying(r#"{"budget": 9000}"#)), [destination_id("rich")]);
    assert_eq!(required_destinations(&then, &now, &saying("{}")), []);
    assert_eq!(required_destinations(&now, &then, &saying("{}")), []);

    let both = registry(Routing::Override, vec![rich(), destination("rest", of_interface("form"), &["lead.*"])]);
    let why = |event: &LeadEvent, id| {
        let (id, refuses) = (destination_id(id), Outcome::No);
        let answers = explain(&both, &both, event, &id);
        answers.iter().find(|answer| answer.outcome == refuses).map(|answer| answer.reason.to_string())
    };
    assert_eq!(why(&saying(r#"{"budget": 9000}"#), "rich"), None);
    let overridden = "destination CRM (rich) of the account wants the event, too, and overrides this one";
    assert_eq!(why(&saying(r#"{"budget": 9000}"#), "rest").as_deref(), Some(overridden));
    let unmet = "the condition does not hold: payload.budget.gte: the field is missing";
    assert_eq!(why(&saying("{}"), "rich").as_deref(), Some(unmet));
    let gone = "the account had no such destination when the event was published";
    assert_eq!(why(&saying("{}"), "gone").as_deref(), Some(gone));
    let other = |interface, event_type| LeadEvent { payload: "{}".into(), ..event("e", interface, event_type) };
    let scope = "the destination is for interface form; the event came from interface page";
    assert_eq!(why(&other("page", "lead.created"), "rest").as_deref(), Some(scope));
    let event_type = "the type email.open matches none of lead.*";
    assert_eq!(why(&other("form", "email.open"), "rest").as_deref(), Some(event_type));
    let named = LeadEvent { destination: Some(destination_id("rest")), ..saying("{}") };
    let another = "the event names destination rest, so it goes there alone";
    assert_eq!(why(&named, "rich").as_deref(), Some(another));
}
