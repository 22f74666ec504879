//! Stored facts about the configuration.

use bytes::Bytes;
use domain::{
    AccountId, Condition, ErrorKind, EventId, LeadId, RegistryFact, RetryPolicy, TokenId,
    policy::{Deactivate, QuickRetries},
    registry::{
        Algorithm, Change, CredentialKind, Credentials, Destination, EventTypePattern, Method, RequestShape, Scope,
        SealedSecret, SentTrace, Token, TokenSecret, WebhookId,
    },
};
use prost::Message as _;
use stored::registry_fact::Change as Stored;

mod accounts;
mod content;
mod deactivation;
mod fields;
mod transport;

use self::accounts::{
    account_from_stored, account_to_stored, api_user_from_stored, api_user_to_stored, client_from_stored,
    client_to_stored, confirmation_from_stored, confirmation_to_stored, interface_from_stored, interface_to_stored,
    opt_out_from_stored, opt_out_to_stored,
};
use self::content::{
    body_from_stored, body_to_stored, compatibility_from_stored, compatibility_to_stored, content_type_from_stored,
    content_type_to_stored, form_from_stored, form_to_stored,
};
use self::deactivation::{deactivated_to_stored, deactivation};
use self::fields::{FACT, account, api_user, client, destination, header_to_stored, interface, opt_out, token};
use self::transport::{oauth2_from_stored, oauth2_to_stored, transport_from_stored, transport_to_stored};
use crate::{
    keys::{key_from_stored, key_to_stored, revoked_from_stored},
    primitives::{message, micros, non_empty, or_empty, parsed, span, time, wrong},
    record::{Record, RecordError},
    stored,
};

impl Record for RegistryFact {
    const NAME: &'static str = FACT;

    fn encode(&self) -> Bytes {
        let change = match &self.change {
            Change::AccountCreated(a) => Stored::AccountCreated(account_to_stored(a)),
            Change::AccountUpdated(a) => Stored::AccountUpdated(account_to_stored(a)),
            Change::AccountDeleted(a) => Stored::AccountDeleted(key(a, a.as_str())),
            Change::ClientCreated(c) => Stored::ClientCreated(client_to_stored(c)),
            Change::ClientUpdated(c) => Stored::ClientUpdated(client_to_stored(c)),
            Change::ClientDeleted(a, c) => Stored::ClientDeleted(key(a, c.as_str())),
            Change::InterfaceCreated(i) => Stored::InterfaceCreated(interface_to_stored(i)),
            Change::InterfaceUpdated(i) => Stored::InterfaceUpdated(interface_to_stored(i)),
            Change::InterfaceDeleted(a, i) => Stored::InterfaceDeleted(key(a, i.as_str())),
            Change::ApiUserCreated(u) => Stored::ApiUserCreated(api_user_to_stored(u)),
            Change::ApiUserUpdated(u) => Stored::ApiUserUpdated(api_user_to_stored(u)),
            Change::ApiUserDeleted(a, u) => Stored::ApiUserDeleted(key(a, u.as_str())),
            Change::DestinationCreated(d) => Stored::DestinationCreated(destination_to_stored(d)),
            Change::DestinationUpdated(d) => Stored::DestinationUpdated(destination_to_stored(d)),
            Change::DestinationEnabled(a, d, skip) => Stored::DestinationEnabled(stored::Key {
                skip_held_before: skip.map(|at| at.as_microsecond()),
                ..key(a, d.as_str())
            }),
            Change::DestinationDeactivated(a, d, why) => {
                Stored::DestinationDeactivated(deactivated_to_stored(a, d, why))
            }
            Change::DestinationDisabled(a, d) => Stored::DestinationDisabled(key(a, d.as_str())),
            Change::DestinationDeleted(a, d) => Stored::DestinationDeleted(key(a, d.as_str())),
            Change::TokenCreated(t) => Stored::TokenCreated(token_to_stored(t)),
            Change::TokenUpdated(t) => Stored::TokenUpdated(token_to_stored(t)),
            Change::TokenDeleted(a, t) => Stored::TokenDeleted(key(a, t.as_str())),
            Change::OptOutCreated(o) => Stored::OptOutCreated(opt_out_to_stored(o)),
            Change::OptOutDeleted(a, o) => Stored::OptOutDeleted(key(a, o.as_str())),
            Change::EmailConfirmed(c) => Stored::EmailConfirmed(confirmation_to_stored(c)),
            Change::KeyCreated(k) => Stored::KeyCreated(key_to_stored(k)),
            Change::PayloadViewed(account, event, lead) => Stored::PayloadViewed(stored::PayloadViewed {
                account: account.to_string(),
                event_id: event.to_string(),
                lead: lead.to_string(),
            }),
            Change::KeyRevoked(a, k) => Stored::KeyRevoked(stored::Key {
                account: or_empty(a.as_ref().map(AccountId::as_str)),
                id: k.to_string(),
                skip_held_before: None,
            }),
        };
        stored::RegistryFact { at: self.at.as_microsecond(), by: self.by.clone(), change: Some(change) }
            .encode_to_vec()
            .into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::RegistryFact = message(FACT, bytes)?;
        let unknown = || wrong(FACT, "change", "is missing or of an unknown kind");
        let change = match stored.change.ok_or_else(unknown)? {
            Stored::AccountCreated(a) => Change::AccountCreated(account_from_stored(a)?),
            Stored::AccountUpdated(a) => Change::AccountUpdated(account_from_stored(a)?),
            Stored::AccountDeleted(k) => Change::AccountDeleted(account(&k.account)?),
            Stored::ClientCreated(c) => Change::ClientCreated(client_from_stored(c)?),
            Stored::ClientUpdated(c) => Change::ClientUpdated(client_from_stored(c)?),
            Stored::ClientDeleted(k) => Change::ClientDeleted(account(&k.account)?, client(&k.id)?),
            Stored::InterfaceCreated(i) => Change::InterfaceCreated(interface_from_stored(i)?),
            Stored::InterfaceUpdated(i) => Change::InterfaceUpdated(interface_from_stored(i)?),
            Stored::InterfaceDeleted(k) => Change::InterfaceDeleted(account(&k.account)?, interface(&k.id)?),
            Stored::ApiUserCreated(u) => Change::ApiUserCreated(api_user_from_stored(u)?),
            Stored::ApiUserUpdated(u) => Change::ApiUserUpdated(api_user_from_stored(u)?),
            Stored::ApiUserDeleted(k) => Change::ApiUserDeleted(account(&k.account)?, api_user(&k.id)?),
            Stored::DestinationCreated(d) => Change::DestinationCreated(destination_from_stored(d)?),
            Stored::DestinationUpdated(d) => Change::DestinationUpdated(destination_from_stored(d)?),
            Stored::DestinationEnabled(k) => {
                let skip = k.skip_held_before.map(|at| time(FACT, "skip_held_before", at)).transpose()?;
                Change::DestinationEnabled(account(&k.account)?, destination(&k.id)?, skip)
            }
            Stored::DestinationDeactivated(k) => {
                Change::DestinationDeactivated(account(&k.account)?, destination(&k.id)?, deactivation(k)?)
            }
            Stored::DestinationDisabled(k) => Change::DestinationDisabled(account(&k.account)?, destination(&k.id)?),
            Stored::DestinationDeleted(k) => Change::DestinationDeleted(account(&k.account)?, destination(&k.id)?),
            Stored::TokenCreated(t) => Change::TokenCreated(token_from_stored(t)?),
            Stored::TokenUpdated(t) => Change::TokenUpdated(token_from_stored(t)?),
            Stored::TokenDeleted(k) => Change::TokenDeleted(account(&k.account)?, token(&k.id)?),
            Stored::OptOutCreated(o) => Change::OptOutCreated(opt_out_from_stored(&o)?),
            Stored::EmailConfirmed(c) => Change::EmailConfirmed(confirmation_from_stored(&c)?),
            Stored::OptOutDeleted(k) => Change::OptOutDeleted(account(&k.account)?, opt_out(&k.id)?),
            Stored::KeyCreated(k) => Change::KeyCreated(key_from_stored(k)?),
            Stored::PayloadViewed(v) => Change::PayloadViewed(
                account(&v.account)?,
                parsed(FACT, "event_id", &v.event_id, EventId::parse)?,
                parsed(FACT, "lead", &v.lead, LeadId::parse)?,
            ),
            Stored::KeyRevoked(k) => {
                let (account, id) = revoked_from_stored(&k)?;
                Change::KeyRevoked(account, id)
            }
        };
        Ok(Self { at: time(FACT, "at", stored.at)?, by: stored.by, change })
    }
}

fn key(account: &AccountId, id: &str) -> stored::Key {
    stored::Key { account: account.to_string(), id: id.to_owned(), skip_held_before: None }
}

fn destination_to_stored(d: &Destination) -> stored::Destination {
    let (client, interface) = match &d.scope {
        Scope::Account => (None, None),
        Scope::Client(client) => (Some(client.as_str()), None),
        Scope::Interface(interface) => (None, Some(interface.as_str())),
    };
    stored::Destination {
        account: d.account.to_string(),
        id: d.id.to_string(),
        name: d.name.clone(),
        interface: or_empty(interface),
        url: d.url.clone(),
        event_types: d.event_types.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        timeout: micros(d.timeout),
        concurrency: d.concurrency,
        retry: Some(policy_to_stored(&d.retry)),
        token: or_empty(d.token.as_ref().map(TokenId::as_str)),
        enabled: d.enabled,
        rate: d.rate.unwrap_or(0),
        breaker_failures: Some(d.breaker_failures),
        method: d.request.method.as_str().to_owned(),
        body: body_to_stored(&d.request.body),
        headers: d.request.headers.iter().map(header_to_stored).collect(),
        credentials: d.request.credentials.as_ref().map(credentials_to_stored),
        client: or_empty(client),
        ordered: d.ordered,
        content_type: content_type_to_stored(d.request.content_type.as_ref()),
        form: form_to_stored(&d.request.form),
        compatibility_signature: d.request.compatibility_signature.as_ref().map(compatibility_to_stored),
        condition: or_empty(d.condition.as_ref().map(Condition::as_str)),
        webhook_id: d.request.webhook_id.as_str().to_owned(),
        trace_context: d.request.trace_context.as_str().to_owned(),
        ..transport_to_stored(&d.transport)
    }
}

fn destination_from_stored(mut stored: stored::Destination) -> Result<Destination, RecordError> {
    let transport = transport_from_stored(&mut stored)?;
    let pattern = |text: &String| parsed(FACT, "event_types", text, EventTypePattern::parse);
    Ok(Destination {
        account: account(&stored.account)?,
        id: destination(&stored.id)?,
        name: stored.name,
        scope: match (non_empty(&stored.interface), non_empty(&stored.client)) {
            (Some(text), _) => Scope::Interface(interface(text)?),
            (None, Some(text)) => Scope::Client(client(text)?),
            (None, None) => Scope::Account,
        },
        url: stored.url,
        event_types: stored.event_types.iter().map(pattern).collect::<Result<_, _>>()?,
        condition: non_empty(&stored.condition)
            .map(|text| parsed(FACT, "condition", text, Condition::parse))
            .transpose()?,
        timeout: span(FACT, "timeout", stored.timeout)?,
        concurrency: stored.concurrency,
        retry: policy_from_stored(stored.retry.ok_or_else(|| wrong(FACT, "retry", "is missing"))?)?,
        token: non_empty(&stored.token).map(token).transpose()?,
        enabled: stored.enabled,
        rate: Some(stored.rate).filter(|rate| *rate > 0),
        breaker_failures: stored.breaker_failures.unwrap_or(Destination::DEFAULT_BREAKER_FAILURES),
        ordered: stored.ordered,
        request: RequestShape {
            method: match non_empty(&stored.method) {
                None => Method::Post,
                Some(word) => {
                    Method::parse(word).ok_or_else(|| wrong(FACT, "method", format!("{word:?} is unknown")))?
                }
            },
            body: body_from_stored(stored.body),
            content_type: content_type_from_stored(&stored.content_type)?,
            form: form_from_stored(stored.form)?,
            headers: stored.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            credentials: stored.credentials.map(credentials_from_stored).transpose()?,
            compatibility_signature: stored.compatibility_signature.map(compatibility_from_stored).transpose()?,
            webhook_id: match non_empty(&stored.webhook_id) {
                None => WebhookId::Event,
                Some(word) => {
                    WebhookId::parse(word).ok_or_else(|| wrong(FACT, "webhook_id", format!("{word:?} is unknown")))?
                }
            },
            trace_context: SentTrace::parse(&stored.trace_context)
                .ok_or_else(|| wrong(FACT, "trace_context", format!("{:?} is unknown", stored.trace_context)))?,
        },
        transport: transport.into(),
        deactivated: None,
        skip_held_before: None,
        deleted: false,
    })
}

fn credentials_to_stored(credentials: &Credentials) -> stored::Credentials {
    stored::Credentials {
        kind: credentials.kind.as_str().to_owned(),
        header: credentials.header.clone(),
        sealed: credentials.sealed.0.clone(),
        oauth2: credentials.oauth2.as_ref().map(oauth2_to_stored),
    }
}

fn credentials_from_stored(stored: stored::Credentials) -> Result<Credentials, RecordError> {
    let kind = CredentialKind::parse(&stored.kind);
    let unknown = || wrong(FACT, "credentials", format!("{:?} is unknown", stored.kind));
    Ok(Credentials {
        kind: kind.ok_or_else(unknown)?,
        header: stored.header,
        sealed: SealedSecret(stored.sealed),
        oauth2: stored.oauth2.map(oauth2_from_stored).transpose()?,
    })
}

fn policy_to_stored(policy: &RetryPolicy) -> stored::RetryPolicy {
    stored::RetryPolicy {
        quick_count: policy.quick.count,
        quick_pause: micros(policy.quick.pause),
        quick_statuses: policy.quick.statuses.iter().copied().map(u32::from).collect(),
        quick_kinds: policy.quick.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
        schedule: policy.schedule.iter().copied().map(micros).collect(),
        jitter_percent: u32::from(policy.jitter_percent),
        max_age: policy.max_age.map(micros),
        // Earlier versions do not know the field `deactivate`, and read this flag instead.
        deactivate_on_exhaustion: policy.deactivate != Deactivate::Never,
        deactivate: policy.deactivate.as_str().to_owned(),
    }
}

fn policy_from_stored(stored: stored::RetryPolicy) -> Result<RetryPolicy, RecordError> {
    let kind = |word: &String| {
        ErrorKind::parse(word).ok_or_else(|| wrong(FACT, "quick_kinds", format!("{word:?} is not a kind of error")))
    };
    let status = |status: u32| u16::try_from(status).map_err(|e| wrong(FACT, "quick_statuses", e));
    Ok(RetryPolicy {
        quick: QuickRetries {
            count: stored.quick_count,
            pause: span(FACT, "quick_pause", stored.quick_pause)?,
            statuses: stored.quick_statuses.into_iter().map(status).collect::<Result<_, _>>()?,
            kinds: stored.quick_kinds.iter().map(kind).collect::<Result<_, _>>()?,
        },
        schedule: stored.schedule.into_iter().map(|d| span(FACT, "schedule", d)).collect::<Result<_, _>>()?,
        jitter_percent: u8::try_from(stored.jitter_percent).map_err(|e| wrong(FACT, "jitter_percent", e))?,
        max_age: stored.max_age.map(|age| span(FACT, "max_age", age)).transpose()?,
        deactivate: Deactivate::parse(&stored.deactivate, stored.deactivate_on_exhaustion)
            .ok_or_else(|| wrong(FACT, "deactivate", format!("{:?} is unknown", stored.deactivate)))?,
    })
}

fn token_to_stored(token: &Token) -> stored::Token {
    let secret = |secret: &TokenSecret| stored::TokenSecret {
        sealed: secret.sealed.0.clone(),
        created_at: secret.created_at.as_microsecond(),
        expires_at: secret.expires_at.map(|at| at.as_microsecond()),
    };
    stored::Token {
        account: token.account.to_string(),
        id: token.id.to_string(),
        name: token.name.clone(),
        secrets: token.secrets.iter().map(secret).collect(),
        algorithm: token.algorithm.as_str().to_owned(),
    }
}

fn token_from_stored(stored: stored::Token) -> Result<Token, RecordError> {
    let secret = |secret: stored::TokenSecret| {
        Ok::<_, RecordError>(TokenSecret {
            sealed: SealedSecret(secret.sealed),
            created_at: time(FACT, "created_at", secret.created_at)?,
            expires_at: secret.expires_at.map(|at| time(FACT, "expires_at", at)).transpose()?,
        })
    };
    Ok(Token {
        account: account(&stored.account)?,
        id: token(&stored.id)?,
        name: stored.name,
        secrets: stored.secrets.into_iter().map(secret).collect::<Result<_, _>>()?,
        algorithm: Algorithm::parse(&stored.algorithm)
            .ok_or_else(|| wrong(FACT, "algorithm", format!("{:?} is unknown", stored.algorithm)))?,
        deleted: false,
    })
}
