//! The caller: what it may see and change, and how facts name it.

use api::{
    request::{Violations, line, optional, required},
    status::{denied, internal, not_authenticated},
};
use domain::{
    AccountId, ClientId, Principal, Registry,
    access::{Holder, Rule},
    registry::{Destination, KeyRefusal, Scope},
};
use jiff::Timestamp;
use tonic::{Request, Status};

/// The largest length of the name of the person that a caller speaks for, in characters.
pub(crate) const MAX_NAME: usize = 100;
/// The metadata in which a caller may name the person that it speaks for.
const SPEAKS_FOR: &str = "leadline-actor";

#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Principal,
    speaks_for: Option<String>,
}

impl Caller {
    /// The caller of a request, as the authenticator found it.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let principal = request.extensions().get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| internal("the call has no principal"))?;
        let named = request.metadata().get(SPEAKS_FOR).and_then(|value| value.to_str().ok());
        // The person of the session comes first. In a portal session, the metadata must not name a person at all.
        let named = principal.person().or(named.filter(|_| !principal.is_portal()));
        let speaks_for = named.filter(|name| !name.is_empty()).map(|name| name.chars().take(MAX_NAME).collect());
        Ok(Self { principal, speaks_for })
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The account that a request names, if the caller may touch it.
    pub(crate) fn account(&self, text: &str) -> Result<AccountId, Status> {
        let account = required("account_id", text, AccountId::parse)?;
        self.may_touch(&account)?;
        Ok(account)
    }

    /// The account that a request names, with another value that was read from the request. Reports both if both are
    /// wrong.
    pub(crate) fn account_and<T>(
        &self,
        text: &str,
        other: Result<T, impl Into<Status>>,
    ) -> Result<(AccountId, T), Status> {
        let mut fields = Violations::default();
        let (account, other) = (fields.note(self.account(text)), fields.note(other));
        fields.end(|| account.zip(other))
    }

    pub(crate) fn may_touch(&self, account: &AccountId) -> Result<(), Status> {
        self.principal.may_touch(account).map_err(|e| denied(&e))
    }

    /// Whether the caller may see an entity that was looked up by its own id. If not, the entity has to look as if it
    /// did not exist.
    pub(crate) fn may_see(&self, account: Option<&AccountId>) -> bool {
        match (self.principal.account(), account) {
            (None, _) => true,
            (Some(own), Some(account)) => own == account,
            (Some(_), None) => false,
        }
    }

    /// Whether the caller may see an entity of this client; `None` if the entity belongs to no client.
    pub(crate) fn may_see_client(&self, client: Option<&str>) -> bool {
        self.principal.client().is_none_or(|own| Some(own.as_str()) == client)
    }

    /// Whether the caller may see values of payloads.
    pub(crate) fn sees_payloads(&self) -> bool {
        self.principal.may(Rule::Needs(domain::access::Scope::Payload)).is_ok()
    }

    /// Whether the caller may see and change a destination of an account that it may touch. A caller that is bound to a
    /// client owns the destinations for this client only.
    pub(crate) fn owns(&self, destination: &Destination) -> bool {
        self.principal.client().is_none_or(|own| matches!(&destination.scope, Scope::Client(client) if client == own))
    }

    /// The client that a list is filtered by: the requested one, or the one that the caller is bound to; `None` for all
    /// clients.
    pub(crate) fn narrowed_client(&self, requested: Option<ClientId>) -> Result<Option<ClientId>, Status> {
        match (self.principal.client(), requested) {
            (None, requested) => Ok(requested),
            (Some(own), Some(other)) if *own != other => {
                self.principal.may_as_client(false).map_err(|e| denied(&e))?;
                Ok(Some(own.clone()))
            }
            (Some(own), _) => Ok(Some(own.clone())),
        }
    }

    /// The account that a list is filtered by: the requested one, or the caller's own; `None` for all accounts.
    pub(crate) fn narrowed(&self, requested: Option<AccountId>) -> Result<Option<AccountId>, Status> {
        match requested {
            Some(account) => self.may_touch(&account).map(|()| Some(account)),
            None => Ok(self.principal.account().cloned()),
        }
    }

    /// As [`Self::narrowed`], for the `account_id` of a request.
    pub(crate) fn narrowed_account(&self, text: &str) -> Result<Option<AccountId>, Status> {
        self.narrowed(optional("account_id", text, AccountId::parse)?)
    }

    /// Checks the caller again during a long call, because its key may be revoked or expire meanwhile.
    pub(crate) fn is_still_good(&self, registry: &Registry) -> Result<(), Status> {
        let now = Timestamp::now();
        let held = match self.principal.holder() {
            Holder::Key(id) => registry.key(&id).ok_or(KeyRefusal::Unknown).and_then(|key| key.is_good(now)),
            Holder::Person(_) => Ok(()),
        };
        // The principal of a session expires with the session.
        held.and(self.principal.key().is_good(now)).map_err(not_authenticated)
    }

    /// The name of the caller in facts: its key or its person, which is verified, and the person that it claims to
    /// speak for.
    pub(crate) fn by(&self) -> String {
        match &self.speaks_for {
            Some(name) => format!("{} for {name}", self.principal),
            None => self.principal.to_string(),
        }
    }

    /// The same caller, speaking for the person that the request names in its field `requested_by`.
    pub(crate) fn with_requester(mut self, fields: &mut Violations, name: &str) -> Self {
        fields.note(line("requested_by", name, MAX_NAME));
        if !name.is_empty() && self.principal.person().is_none() && !self.principal.is_portal() {
            self.speaks_for = Some(name.to_owned());
        }
        self
    }
}
