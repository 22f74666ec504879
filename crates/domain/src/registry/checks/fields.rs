//! The checks of each field. [`crate::registry::decide`] checks that the entities that fields name exist.

use std::time::Duration;

use crate::registry::{
    checks::{
        requests::check_request,
        urls::{UrlRules, check_url},
    },
    entities::{
        account::{Account, ApiUser, Interface},
        address::{check_brand, check_email},
        destination::Destination,
        opt_out::OptOut,
    },
    refusal::{Mistakes, Refusal, invalid},
};
use crate::search::{self, SearchField};

/// The maximum length of a name, in bytes.
const MAX_NAME: usize = 200;
/// The maximum number of addresses in a list.
const MAX_EMAILS: usize = 20;
/// The maximum number of event type patterns of a destination.
const MAX_PATTERNS: usize = 100;

pub(in crate::registry) fn check_destination(destination: &Destination, rules: UrlRules) -> Result<(), Refusal> {
    let oauth2 = destination.request.credentials.as_ref().and_then(|credentials| credentials.oauth2.as_ref());
    Mistakes::of([
        check_name(&destination.name),
        check_url("url", &destination.url, rules),
        check_event_types(destination.event_types.len()),
        check_timeout(destination),
        check_concurrency(destination.concurrency),
        check_pace(destination),
        check_request(&destination.request),
        destination.transport.check(),
        oauth2.map_or(Ok(()), |client| client.check(rules)),
        destination.retry.validate().map_err(|e| invalid("retry_policy", format!("{}: {}", e.field, e.problem))),
    ])
}

impl Destination {
    /// Checks each field by itself. Whether the installation allows plain HTTP is not checked.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn check_fields(&self) -> Result<(), Refusal> {
        check_destination(self, UrlRules { allow_plain_http: true })
    }
}

impl Account {
    /// Checks each field by itself.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn check_fields(&self) -> Result<(), Refusal> {
        check_account(self)
    }
}

impl Interface {
    /// Checks each field by itself.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn check_fields(&self) -> Result<(), Refusal> {
        check_interface(self)
    }
}

impl ApiUser {
    /// Checks each field by itself.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn check_fields(&self) -> Result<(), Refusal> {
        check_api_user(self)
    }
}

fn check_event_types(count: usize) -> Result<(), Refusal> {
    if (1..=MAX_PATTERNS).contains(&count) {
        return Ok(());
    }
    Err(invalid(
        "event_types",
        format!("needs 1 to {MAX_PATTERNS} patterns; \"*\" matches every type that publishers may use"),
    ))
}

fn check_timeout(destination: &Destination) -> Result<(), Refusal> {
    let (shortest, longest) = (Destination::MIN_TIMEOUT, Destination::MAX_TIMEOUT);
    if (shortest..=longest).contains(&destination.timeout) {
        return Ok(());
    }
    Err(invalid("timeout", format!("{:?} is not from {shortest:?} to {longest:?}", destination.timeout)))
}

fn check_concurrency(concurrency: u32) -> Result<(), Refusal> {
    let max = Destination::MAX_CONCURRENCY;
    if (1..=max).contains(&concurrency) {
        return Ok(());
    }
    Err(invalid("concurrency", format!("{concurrency} is not from 1 to {max}")))
}

pub(in crate::registry) fn check_account(account: &Account) -> Result<(), Refusal> {
    Mistakes::of([
        check_name(&account.name),
        account.brand.as_deref().map_or(Ok(()), check_brand).map_err(|problem| invalid("brand", problem)),
        check_days("keep_history", account.keep_history, Account::MIN_HISTORY..=Account::MAX_HISTORY),
        check_emails("notification_emails", &account.notification_emails),
        check_emails("api_user_emails", &account.api_user_emails),
    ])
}

pub(in crate::registry) fn check_interface(interface: &Interface) -> Result<(), Refusal> {
    if interface.id.is_reserved() {
        return Err(invalid("interface_id", format!("{} is reserved for events of Leadline itself", interface.id)));
    }
    Mistakes::of([
        check_name(&interface.name),
        check_days("retention", interface.retention, Interface::MIN_RETENTION..=Interface::MAX_RETENTION),
        check_emails("lead_notification_emails", &interface.lead_notification_emails),
        check_searchable(&interface.searchable),
    ])
}

fn check_searchable(fields: &[SearchField]) -> Result<(), Refusal> {
    const FIELD: &str = "searchable_fields";
    if fields.len() > search::MAX_FIELDS {
        return Err(invalid(FIELD, format!("has {} entries, and {} is the limit", fields.len(), search::MAX_FIELDS)));
    }
    let is_repeated =
        |(index, field): (usize, &SearchField)| fields[..index].iter().any(|other| other.name == field.name);
    let repeated = fields.iter().enumerate().filter(|field| is_repeated(*field));
    Mistakes::of(repeated.map(|(_, field)| Err(invalid(FIELD, format!("the name {} is given twice", field.name)))))
}

pub(in crate::registry) fn check_api_user(user: &ApiUser) -> Result<(), Refusal> {
    Mistakes::of([check_name(&user.name), check_email(&user.email).map_err(|problem| invalid("email", problem))])
}

pub(in crate::registry) fn check_opt_out(opt_out: &OptOut) -> Result<(), Refusal> {
    check_email(&opt_out.email).map_err(|problem| invalid("email", problem))
}

fn check_days(
    field: &'static str,
    kept: Option<Duration>,
    allowed: std::ops::RangeInclusive<Duration>,
) -> Result<(), Refusal> {
    if kept.is_some_and(|kept| !allowed.contains(&kept)) {
        return Err(invalid(field, "is not from 1 to 3,650 days".into()));
    }
    Ok(())
}

fn check_emails(field: &'static str, emails: &[String]) -> Result<(), Refusal> {
    if emails.len() > MAX_EMAILS {
        return Err(invalid(field, format!("has {} addresses, and {MAX_EMAILS} is the limit", emails.len())));
    }
    emails.iter().try_for_each(|email| check_email(email).map_err(|problem| invalid(field, problem)))
}

fn check_pace(destination: &Destination) -> Result<(), Refusal> {
    let highest = Destination::MAX_RATE;
    if destination.rate.is_some_and(|rate| !(1..=highest).contains(&rate)) {
        return Err(invalid("rate", format!("is not from 1 to {highest} requests a second")));
    }
    let max = Destination::MAX_BREAKER_FAILURES;
    if destination.breaker_failures > max {
        return Err(invalid("breaker_failures", format!("{} is more than {max}", destination.breaker_failures)));
    }
    Ok(())
}

fn is_one_line(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

pub(in crate::registry) fn check_name(name: &str) -> Result<(), Refusal> {
    if is_one_line(name) {
        return Ok(());
    }
    Err(invalid("name", format!("has to be one line of at most {MAX_NAME} bytes")))
}
