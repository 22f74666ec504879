//! Conversions of destinations and tokens.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    AccountId, ClientId, Condition, DestinationId, ErrorKind, InterfaceId, RetryPolicy, TokenId,
    advice::suggested_action,
    policy::{Deactivate, QuickRetries},
    registry::{
        ContentType, CredentialKind, Deactivation, Destination, EventTypePattern, Mistakes, Refusal, RequestShape,
        Scope, SentTrace, Token, WebhookId,
    },
    text::quoted,
};

mod accounts;
mod content;
mod fields;
mod transport;

pub use self::accounts::{
    account, account_to_api, api_user, api_user_to_api, client, client_to_api, interface, interface_to_api,
    opt_out_to_api,
};
pub use self::transport::GivenCredentials;
use self::{
    fields::{invalid, span},
    transport::{auth_to_api, oauth2, transport_to_api},
};
use crate::{
    primitives::{duration_to_api, non_empty, or_empty, timestamp_to_api},
    request::{optional, required},
};

/// A destination from the API; missing fields get their defaults. The server makes ids, so `destination_id` is ignored.
/// So are `auth` ([`credentials`]), `client_certificate`, `ca_certificates` and `proxy`: secrets must be sealed first,
/// and certificates parsed.
///
/// # Errors
/// Every field that cannot be read.
pub fn destination(given: crate::Destination, with_id: DestinationId) -> Result<Destination, Refusal> {
    let mut mistakes = Mistakes::default();
    let destination = read_destination(given, with_id, &mut mistakes)?;
    mistakes.end().map(|()| destination)
}

/// As [`destination`], for a new destination. It has to be valid as a whole.
///
/// # Errors
/// Every field that cannot be read or is invalid.
pub fn new_destination(given: crate::Destination, with_id: DestinationId) -> Result<Destination, Refusal> {
    let mut mistakes = Mistakes::default();
    let destination = read_destination(given, with_id, &mut mistakes)?;
    mistakes.note(destination.check_fields());
    mistakes.end().map(|()| destination)
}

/// Reads a destination. A field that cannot be read is noted, and gets its default.
fn read_destination(
    given: crate::Destination,
    with_id: DestinationId,
    mistakes: &mut Mistakes,
) -> Result<Destination, Refusal> {
    let retry = given.retry_policy.map_or_else(|| Ok(RetryPolicy::standard()), policy);
    let token = optional("token_id", &given.token_id, TokenId::parse);
    let timeout = span_or("timeout", given.timeout, Destination::DEFAULT_TIMEOUT);
    let account = mistakes.note(required("account_id", &given.account_id, AccountId::parse));
    Ok(Destination {
        id: with_id,
        name: given.name,
        scope: mistakes.note(scope(&given.interface_id, &given.client_id)).unwrap_or(Scope::Account),
        url: given.url,
        event_types: mistakes.note(event_types(&given.event_types)).unwrap_or_else(|| vec![EventTypePattern::any()]),
        condition: mistakes.note(condition(&given.condition)).flatten(),
        timeout: mistakes.note(timeout).unwrap_or(Destination::DEFAULT_TIMEOUT),
        concurrency: if given.concurrency == 0 { Destination::DEFAULT_CONCURRENCY } else { given.concurrency },
        retry: mistakes.note(retry).unwrap_or_else(RetryPolicy::standard),
        token: mistakes.note(token).flatten(),
        enabled: given.enabled.unwrap_or(true),
        rate: Some(given.rate).filter(|rate| *rate > 0),
        breaker_failures: given.breaker_failures.unwrap_or(Destination::DEFAULT_BREAKER_FAILURES),
        ordered: given.ordered,
        request: RequestShape {
            method: mistakes.note(content::method(&given.method)).unwrap_or_default(),
            body: mistakes.note(content::body(given.body)).unwrap_or_default(),
            content_type: mistakes.note(content::content_type(&given.content_type)).flatten(),
            form: mistakes.note(content::form(given.form)).unwrap_or_default(),
            headers: given.headers.into_iter().map(|h| (h.name.to_ascii_lowercase(), h.value)).collect(),
            credentials: None,
            compatibility_signature: mistakes.note(content::compatibility(given.compatibility_signature)).flatten(),
            webhook_id: mistakes.note(webhook_id(&given.webhook_id)).unwrap_or(WebhookId::Delivery),
            trace_context: mistakes.note(trace_context(&given.trace_context)).unwrap_or(SentTrace::Restart),
        },
        transport: Default::default(),
        deactivated: None,
        skip_held_before: None,
        deleted: false,
        // The account is the last field here, so that mistakes in the others are noted even if the account is wrong.
        account: account.ok_or_else(|| std::mem::take(mistakes).refusal())?,
    })
}

fn event_types(patterns: &[String]) -> Result<Vec<EventTypePattern>, Refusal> {
    match patterns {
        [] => Ok(vec![EventTypePattern::any()]),
        patterns => {
            patterns.iter().map(|text| EventTypePattern::parse(text).map_err(|e| invalid("event_types", e))).collect()
        }
    }
}

fn trace_context(word: &str) -> Result<SentTrace, Refusal> {
    if word.is_empty() {
        return Ok(SentTrace::Restart);
    }
    let wrong = || invalid("trace_context", format!("{} is not none, restart or continue", quoted(word)));
    SentTrace::parse(word).ok_or_else(wrong)
}

fn webhook_id(word: &str) -> Result<WebhookId, Refusal> {
    if word.is_empty() {
        return Ok(WebhookId::Delivery);
    }
    WebhookId::parse(word).ok_or_else(|| invalid("webhook_id", format!("{} is not delivery or event", quoted(word))))
}

/// A condition from the API; `None` if the text is empty.
///
/// # Errors
/// If the text is not a condition; the error names the exact place of the mistake.
pub fn condition(text: &str) -> Result<Option<Condition>, Refusal> {
    let given = Some(text.trim()).filter(|text| !text.is_empty());
    given.map(|text| Condition::parse(text).map_err(|e| invalid("condition", e))).transpose()
}

fn scope(interface: &str, client: &str) -> Result<Scope, Refusal> {
    match (non_empty(interface), non_empty(client)) {
        (None, None) => Ok(Scope::Account),
        (None, Some(text)) => Ok(Scope::Client(required("client_id", text, ClientId::parse)?)),
        (Some(text), None) => Ok(Scope::Interface(required("interface_id", text, InterfaceId::parse)?)),
        (Some(_), Some(_)) => Err(invalid("client_id", "a destination is for a client or an interface, not for both")),
    }
}

/// Credentials from the API, not sealed yet.
///
/// # Errors
/// If a part is missing or invalid.
pub fn credentials(given: crate::Auth) -> Result<Option<GivenCredentials>, Refusal> {
    use crate::auth::Kind;
    let authorization = || "authorization".to_owned();
    let in_header = |kind, header, value| Ok(Some(GivenCredentials { kind, header, value, oauth2: None }));
    match given.kind {
        None => Ok(None),
        Some(Kind::BearerToken(token)) if token.is_empty() => Err(invalid("auth.bearer_token", "is empty")),
        Some(Kind::BearerToken(token)) => in_header(CredentialKind::Bearer, authorization(), format!("Bearer {token}")),
        Some(Kind::Basic(basic)) => {
            if basic.username.contains(':') {
                return Err(invalid("auth.basic.username", "must not contain ':' (RFC 7617)"));
            }
            let pair = STANDARD.encode(format!("{}:{}", basic.username, basic.password));
            in_header(CredentialKind::Basic, authorization(), format!("Basic {pair}"))
        }
        Some(Kind::Header(header)) if header.value.is_empty() => Err(invalid("auth.header.value", "is empty")),
        Some(Kind::Header(header)) => in_header(CredentialKind::Header, header.name.to_ascii_lowercase(), header.value),
        Some(Kind::Oauth2(given)) => oauth2(given).map(Some),
    }
}

pub fn destination_to_api(destination: &Destination) -> crate::Destination {
    let (client, interface) = match &destination.scope {
        Scope::Account => (None, None),
        Scope::Client(client) => (Some(client.as_str()), None),
        Scope::Interface(interface) => (None, Some(interface.as_str())),
    };
    crate::Destination {
        account_id: destination.account.to_string(),
        destination_id: destination.id.to_string(),
        name: destination.name.clone(),
        interface_id: or_empty(interface),
        url: destination.url.clone(),
        event_types: destination.event_types.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        timeout: Some(duration_to_api(destination.timeout)),
        concurrency: destination.concurrency,
        retry_policy: Some(policy_to_api(&destination.retry)),
        token_id: or_empty(destination.token.as_ref().map(TokenId::as_str)),
        enabled: Some(destination.enabled),
        rate: destination.rate.unwrap_or(0),
        breaker_failures: Some(destination.breaker_failures),
        ordered: destination.ordered,
        method: destination.request.method.as_str().to_owned(),
        body: Some(content::body_to_api(&destination.request.body)),
        headers: destination.request.headers.iter().map(header_to_api).collect(),
        auth: destination.request.credentials.as_ref().map(auth_to_api),
        deactivated: destination.deactivated.as_ref().map(deactivation_to_api),
        client_id: or_empty(client),
        content_type: or_empty(destination.request.content_type.as_ref().map(ContentType::as_str)),
        form: content::form_to_api(&destination.request.form),
        compatibility_signature: destination
            .request
            .compatibility_signature
            .as_ref()
            .map(content::compatibility_to_api),
        condition: or_empty(destination.condition.as_ref().map(Condition::as_str)),
        webhook_id: destination.request.webhook_id.as_str().to_owned(),
        trace_context: destination.request.trace_context.as_str().to_owned(),
        ..transport_to_api(&destination.transport)
    }
}

fn deactivation_to_api(why: &Deactivation) -> crate::Deactivation {
    let shown = crate::Deactivation {
        at: Some(timestamp_to_api(why.at)),
        cause: why.cause.as_str().to_owned(),
        cause_code: crate::DeactivationCause::from(why.cause).into(),
        first_failed_at: why.first_failed_at.map(timestamp_to_api),
        ..crate::Deactivation::default()
    };
    let Some(by) = &why.delivery else { return shown };
    crate::Deactivation {
        delivery_id: by.delivery.to_string(),
        lead_id: by.lead.to_string(),
        event_id: by.event_id.to_string(),
        attempts: by.attempts,
        http_status_code: by.status_code.into(),
        error_kind: by.error_kind.map_or("", ErrorKind::as_str).to_owned(),
        suggested_action: suggested_action(by.status_code, by.error_kind).to_owned(),
        ..shown
    }
}

fn header_to_api((name, value): &(String, String)) -> crate::Header {
    crate::Header { name: name.clone(), value: value.clone() }
}

/// A token without its secrets.
pub fn token_to_api(token: &Token) -> crate::Token {
    crate::Token {
        account_id: token.account.to_string(),
        token_id: token.id.to_string(),
        name: token.name.clone(),
        algorithm: token.algorithm.as_str().to_owned(),
        created_at: token.secrets.last().map(|oldest| timestamp_to_api(oldest.created_at)),
    }
}

fn span_or(
    field: &'static str,
    given: Option<prost_types::Duration>,
    otherwise: Duration,
) -> Result<Duration, Refusal> {
    given.map_or(Ok(otherwise), |given| span(field, &given))
}

fn policy(given: crate::RetryPolicy) -> Result<RetryPolicy, Refusal> {
    use crate::retry_policy::Policy;
    match given.policy {
        None => Ok(RetryPolicy::standard()),
        Some(Policy::Preset(name)) => match name.as_str() {
            "standard" => Ok(RetryPolicy::standard()),
            "patient" => Ok(RetryPolicy::patient()),
            "manual" => Ok(RetryPolicy::manual()),
            other => {
                Err(invalid("retry_policy.preset", format!("{} is not standard, patient or manual", quoted(other))))
            }
        },
        Some(Policy::Custom(custom)) => custom_policy(custom),
    }
}

fn custom_policy(given: crate::CustomRetryPolicy) -> Result<RetryPolicy, Refusal> {
    let standard = RetryPolicy::standard();
    let status = |status: &u32| {
        u16::try_from(*status)
            .map_err(|_| invalid("retry_policy.custom.quick_statuses", format!("{status} is not a status")))
    };
    let kind = |word: &String| {
        let unknown =
            || invalid("retry_policy.custom.quick_error_kinds", format!("{} is not a kind of error", quoted(word)));
        ErrorKind::parse(word).ok_or_else(unknown)
    };
    let quick = QuickRetries {
        count: given.quick_count,
        pause: span_or("retry_policy.custom.quick_pause", given.quick_pause, standard.quick.pause)?,
        statuses: match given.quick_statuses.as_slice() {
            [] => standard.quick.statuses,
            statuses => statuses.iter().map(status).collect::<Result<_, _>>()?,
        },
        kinds: match given.quick_error_kinds.as_slice() {
            [] => standard.quick.kinds,
            kinds => kinds.iter().map(kind).collect::<Result<_, _>>()?,
        },
    };
    let too_much = |_| invalid("retry_policy.custom.jitter_percent", "is not from 0 to 50");
    Ok(RetryPolicy {
        quick,
        schedule: given
            .schedule
            .iter()
            .map(|delay| span("retry_policy.custom.schedule", delay))
            .collect::<Result<_, _>>()?,
        jitter_percent: u8::try_from(given.jitter_percent).map_err(too_much)?,
        max_age: given.max_age.as_ref().map(|age| span("retry_policy.custom.max_age", age)).transpose()?,
        deactivate: Deactivate::parse(&given.deactivate, given.deactivate_on_exhaustion).ok_or_else(|| {
            invalid("retry_policy.custom.deactivate", format!("{:?} is not one of {}", given.deactivate, rules()))
        })?,
    })
}

/// The words for [`Deactivate`], for errors.
fn rules() -> String {
    Deactivate::ALL.map(Deactivate::as_str).join(", ")
}

fn policy_to_api(policy: &RetryPolicy) -> crate::RetryPolicy {
    let presets =
        [("standard", RetryPolicy::standard()), ("patient", RetryPolicy::patient()), ("manual", RetryPolicy::manual())];
    let shown = match presets.into_iter().find(|(_, preset)| preset == policy) {
        Some((name, _)) => crate::retry_policy::Policy::Preset(name.to_owned()),
        None => crate::retry_policy::Policy::Custom(crate::CustomRetryPolicy {
            quick_count: policy.quick.count,
            quick_pause: Some(duration_to_api(policy.quick.pause)),
            quick_statuses: policy.quick.statuses.iter().copied().map(u32::from).collect(),
            quick_error_kinds: policy.quick.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            schedule: policy.schedule.iter().copied().map(duration_to_api).collect(),
            jitter_percent: u32::from(policy.jitter_percent),
            max_age: policy.max_age.map(duration_to_api),
            deactivate_on_exhaustion: policy.deactivate != Deactivate::Never,
            deactivate: policy.deactivate.as_str().to_owned(),
        }),
    };
    crate::RetryPolicy { policy: Some(shown) }
}
