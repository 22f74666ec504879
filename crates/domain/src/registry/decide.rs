//! The only way to a new registry fact: a command, checked against what there is.

use jiff::Timestamp;
use url::Url;

use super::{
    facts::{Change, EntityKind},
    model::{Account, Destination, Interface, Scope, Token, check_email},
    request::{Body, Deactivation, RequestShape},
    state::Registry,
};
use crate::ids::{AccountId, DestinationId, InterfaceId, TokenId};

/// What somebody wants to change. Creations and updates carry the whole new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A new account.
    CreateAccount(Account),
    /// Change an account.
    UpdateAccount(Account),
    /// Remove an account.
    DeleteAccount(AccountId),
    /// A new interface.
    CreateInterface(Interface),
    /// Change an interface.
    UpdateInterface(Interface),
    /// Remove an interface.
    DeleteInterface(AccountId, InterfaceId),
    /// A new destination.
    CreateDestination(Destination),
    /// Change a destination.
    UpdateDestination(Destination),
    /// Switch a destination on; what is held for it since before the given time is not to be sent.
    EnableDestination(AccountId, DestinationId, Option<Timestamp>),
    /// Switch a destination off because of a rule.
    DeactivateDestination(AccountId, DestinationId, Deactivation),
    /// Switch a destination off.
    DisableDestination(AccountId, DestinationId),
    /// Remove a destination.
    DeleteDestination(AccountId, DestinationId),
    /// A new token.
    CreateToken(Token),
    /// Give a token another name or other secrets.
    UpdateToken(Token),
    /// Remove a token.
    DeleteToken(AccountId, TokenId),
}

/// Which URLs destinations may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UrlRules {
    /// Plain HTTP too, not only HTTPS.
    pub allow_plain_http: bool,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A field is wrong.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, as the API names it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It is there already.
    #[error("{} {id:?} exists already", .kind.as_str())]
    AlreadyExists {
        /// What.
        kind: EntityKind,
        /// Which.
        id: String,
    },
    /// It is not there.
    #[error("{} {id:?} does not exist", .kind.as_str())]
    NotFound {
        /// What.
        kind: EntityKind,
        /// Which.
        id: String,
    },
}

/// A change that may be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The change.
    pub change: Change,
    /// The last sequence of the subject that the decision rests on; the append has to expect it.
    pub expected_version: u64,
}

/// The longest name and brand, in bytes.
const LONGEST_NAME: usize = 200;
/// The longest URL, in bytes.
const LONGEST_URL: usize = 2_000;
/// The most notification emails of an account.
const MOST_EMAILS: usize = 20;
/// The most event type patterns of a destination.
const MOST_PATTERNS: usize = 100;

impl Registry {
    /// Decides whether a command may be carried out.
    ///
    /// # Errors
    /// When a field is wrong, the thing exists already, or does not exist.
    pub fn decide(&self, command: Command, rules: UrlRules) -> Result<Decision, Refusal> {
        let change = match command {
            Command::CreateAccount(account) => {
                self.must_be_new(self.account(&account.id).is_some(), EntityKind::Account, account.id.as_str())?;
                check_account(&account)?;
                Change::AccountCreated(account)
            }
            Command::UpdateAccount(account) => {
                self.must_have_account(&account.id)?;
                check_account(&account)?;
                Change::AccountUpdated(account)
            }
            Command::DeleteAccount(id) => {
                self.must_have_account(&id)?;
                Change::AccountDeleted(id)
            }
            Command::CreateInterface(interface) => {
                self.must_have_account(&interface.account)?;
                let taken = self.interface(&interface.account, &interface.id).is_some();
                self.must_be_new(taken, EntityKind::Interface, interface.id.as_str())?;
                check_name(&interface.name)?;
                Change::InterfaceCreated(interface)
            }
            Command::UpdateInterface(interface) => {
                self.must_have_interface(&interface.account, &interface.id)?;
                check_name(&interface.name)?;
                Change::InterfaceUpdated(interface)
            }
            Command::DeleteInterface(account, id) => {
                self.must_have_interface(&account, &id)?;
                Change::InterfaceDeleted(account, id)
            }
            Command::CreateToken(token) => {
                self.must_have_account(&token.account)?;
                let taken = self.token(&token.account, &token.id).is_some();
                self.must_be_new(taken, EntityKind::Token, token.id.as_str())?;
                check_name(&token.name)?;
                Change::TokenCreated(token)
            }
            Command::UpdateToken(token) => {
                self.must_have_token(&token.account, &token.id)?;
                check_name(&token.name)?;
                Change::TokenUpdated(token)
            }
            Command::DeleteToken(account, id) => self.decide_delete_token(account, id)?,
            command => self.decide_destination(command, rules)?,
        };
        let (account, kind, id) = change.entity();
        let expected_version = self.version(account, kind, id);
        Ok(Decision { change, expected_version })
    }

    fn decide_destination(&self, command: Command, rules: UrlRules) -> Result<Change, Refusal> {
        Ok(match command {
            Command::CreateDestination(destination) => {
                self.must_have_account(&destination.account)?;
                let taken = self.destination_ever(&destination.id).is_some();
                self.must_be_new(taken, EntityKind::Destination, destination.id.as_str())?;
                self.check_destination(&destination, rules)?;
                Change::DestinationCreated(destination)
            }
            Command::UpdateDestination(destination) => {
                self.must_have_destination(&destination.account, &destination.id)?;
                self.check_destination(&destination, rules)?;
                Change::DestinationUpdated(destination)
            }
            Command::EnableDestination(account, id, skip) => {
                self.must_have_destination(&account, &id)?;
                Change::DestinationEnabled(account, id, skip)
            }
            Command::DeactivateDestination(account, id, why) => {
                self.must_have_destination(&account, &id)?;
                Change::DestinationDeactivated(account, id, why)
            }
            Command::DisableDestination(account, id) => {
                self.must_have_destination(&account, &id)?;
                Change::DestinationDisabled(account, id)
            }
            Command::DeleteDestination(account, id) => {
                self.must_have_destination(&account, &id)?;
                Change::DestinationDeleted(account, id)
            }
            other => unreachable!("no command about a destination: {other:?}"),
        })
    }

    fn decide_delete_token(&self, account: AccountId, id: TokenId) -> Result<Change, Refusal> {
        self.must_have_token(&account, &id)?;
        let user = self.account(&account).and_then(|entry| {
            entry.destinations().find(|d| !d.deleted && d.token.as_ref() == Some(&id)).map(|d| d.id.to_string())
        });
        match user {
            Some(destination) => Err(invalid("token_id", format!("destination {destination:?} still uses it"))),
            None => Ok(Change::TokenDeleted(account, id)),
        }
    }

    fn check_destination(&self, destination: &Destination, rules: UrlRules) -> Result<(), Refusal> {
        check_name(&destination.name)?;
        check_url(&destination.url, rules)?;
        if let Scope::Interface(interface) = &destination.scope {
            self.must_have_interface(&destination.account, interface)?;
        }
        if let Some(token) = &destination.token {
            self.must_have_token(&destination.account, token)?;
        }
        if destination.event_types.is_empty() || destination.event_types.len() > MOST_PATTERNS {
            return Err(invalid("event_types", format!("needs 1 to {MOST_PATTERNS} patterns; \"*\" is every type")));
        }
        let (shortest, longest) = (Destination::SHORTEST_TIMEOUT, Destination::LONGEST_TIMEOUT);
        if !(shortest..=longest).contains(&destination.timeout) {
            return Err(invalid(
                "timeout",
                format!("{:?} is not from {shortest:?} to {longest:?}", destination.timeout),
            ));
        }
        if !(1..=Destination::MOST_CONCURRENCY).contains(&destination.concurrency) {
            let most = Destination::MOST_CONCURRENCY;
            return Err(invalid("concurrency", format!("{} is not from 1 to {most}", destination.concurrency)));
        }
        check_pace(destination)?;
        check_request(&destination.request)?;
        destination.retry.validate().map_err(|e| invalid("retry_policy", format!("{}: {}", e.field, e.problem)))
    }

    fn must_be_new(&self, taken: bool, kind: EntityKind, id: &str) -> Result<(), Refusal> {
        if taken { Err(Refusal::AlreadyExists { kind, id: id.to_owned() }) } else { Ok(()) }
    }

    fn must_have_account(&self, id: &AccountId) -> Result<(), Refusal> {
        must_exist(self.account(id).is_some(), EntityKind::Account, id.as_str())
    }

    fn must_have_interface(&self, account: &AccountId, id: &InterfaceId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        must_exist(self.interface(account, id).is_some(), EntityKind::Interface, id.as_str())
    }

    fn must_have_destination(&self, account: &AccountId, id: &DestinationId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        let exists = self.destination(id).is_some_and(|destination| destination.account == *account);
        must_exist(exists, EntityKind::Destination, id.as_str())
    }

    fn must_have_token(&self, account: &AccountId, id: &TokenId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        must_exist(self.token(account, id).is_some(), EntityKind::Token, id.as_str())
    }
}

fn must_exist(exists: bool, kind: EntityKind, id: &str) -> Result<(), Refusal> {
    if exists { Ok(()) } else { Err(Refusal::NotFound { kind, id: id.to_owned() }) }
}

fn invalid(field: &'static str, problem: String) -> Refusal {
    Refusal::Invalid { field, problem }
}

fn check_account(account: &Account) -> Result<(), Refusal> {
    check_name(&account.name)?;
    if account.brand.as_ref().is_some_and(|brand| !is_one_line(brand)) {
        return Err(invalid("brand", format!("has to be one line of at most {LONGEST_NAME} bytes")));
    }
    if account.notification_emails.len() > MOST_EMAILS {
        return Err(invalid("notification_emails", format!("are more than {MOST_EMAILS}")));
    }
    if account.api_user_emails.len() > MOST_EMAILS {
        return Err(invalid("api_user_emails", format!("are more than {MOST_EMAILS}")));
    }
    let all = |emails: &[String], field| {
        emails.iter().try_for_each(|email| check_email(email).map_err(|problem| invalid(field, problem)))
    };
    all(&account.notification_emails, "notification_emails")?;
    all(&account.api_user_emails, "api_user_emails")
}

fn check_pace(destination: &Destination) -> Result<(), Refusal> {
    let highest = Destination::HIGHEST_RATE;
    if destination.rate.is_some_and(|rate| !(1..=highest).contains(&rate)) {
        return Err(invalid("rate", format!("is not from 1 to {highest} requests a second")));
    }
    let most = Destination::MOST_BREAKER_FAILURES;
    if destination.breaker_failures > most {
        return Err(invalid("breaker_failures", format!("{} is more than {most}", destination.breaker_failures)));
    }
    Ok(())
}

fn check_request(shape: &RequestShape) -> Result<(), Refusal> {
    if shape.headers.len() > RequestShape::MOST_HEADERS {
        return Err(invalid("headers", format!("are more than {}", RequestShape::MOST_HEADERS)));
    }
    for (name, value) in &shape.headers {
        RequestShape::check_header(name).map_err(|problem| invalid("headers", problem))?;
        if value.len() > RequestShape::LONGEST_HEADER || value.chars().any(char::is_control) {
            let longest = RequestShape::LONGEST_HEADER;
            return Err(invalid("headers", format!("{name}: has to be one line of at most {longest} bytes")));
        }
    }
    if let Some(credentials) = &shape.credentials
        && credentials.header != "authorization"
    {
        RequestShape::check_header(&credentials.header).map_err(|problem| invalid("auth", problem))?;
    }
    match &shape.body {
        Body::Template(text) if text.len() > RequestShape::LONGEST_TEMPLATE => {
            Err(invalid("body_template", format!("is longer than {} bytes", RequestShape::LONGEST_TEMPLATE)))
        }
        _ => Ok(()),
    }
}

fn is_one_line(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.chars().any(char::is_control)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if is_one_line(name) {
        return Ok(());
    }
    Err(invalid("name", format!("has to be one line of at most {LONGEST_NAME} bytes")))
}

fn check_url(text: &str, rules: UrlRules) -> Result<(), Refusal> {
    let refuse = |problem: String| Err(invalid("url", problem));
    if text.len() > LONGEST_URL {
        return refuse(format!("is {} bytes long, and {LONGEST_URL} is the limit", text.len()));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(e) => return refuse(format!("{text:?} is no URL: {e}")),
    };
    match url.scheme() {
        "https" => {}
        "http" if rules.allow_plain_http => {}
        "http" => return refuse("plain http is not allowed here; use https".into()),
        other => return refuse(format!("the scheme {other:?} is not allowed; use https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not contain credentials".into());
    }
    Ok(())
}
