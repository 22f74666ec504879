//! The caller: what it may see and change, and how facts name it.

use api::{
    registry::id,
    status::{denied, invalid, not_authenticated, refusal},
};
use domain::{AccountId, Principal, Registry, registry::KeyRefusal};
use jiff::Timestamp;
use tonic::{Request, Status};

/// The largest length of the name for which a caller speaks, in characters.
const MAX_NAME: usize = 100;
/// The metadata in which a caller may name the person for whom it speaks.
const SPEAKS_FOR: &str = "leadline-actor";

/// The caller of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Principal,
    speaks_for: Option<String>,
}

impl Caller {
    /// The caller of a request, as the authenticator found it.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let principal = request.extensions().get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Status::internal("the call has no principal"))?;
        let said = request.metadata().get(SPEAKS_FOR).and_then(|value| value.to_str().ok());
        let speaks_for = said.filter(|name| !name.is_empty()).map(|name| name.chars().take(MAX_NAME).collect());
        Ok(Self { principal, speaks_for })
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The account that a request names, if the caller may touch it.
    pub(crate) fn account(&self, text: &str) -> Result<AccountId, Status> {
        let account = id("account_id", text, AccountId::parse).map_err(|e| refusal(&e))?;
        self.may_touch(&account)?;
        Ok(account)
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

    /// The account that a list is filtered by: the requested one, or the caller's own; `None` for all accounts.
    pub(crate) fn narrowed(&self, asked: Option<AccountId>) -> Result<Option<AccountId>, Status> {
        match asked {
            Some(account) => self.may_touch(&account).map(|()| Some(account)),
            None => Ok(self.principal.account().cloned()),
        }
    }

    /// Checks the key again during a long call: when the call began, this process may not have known of a revocation.
    pub(crate) fn is_still_good(&self, registry: &Registry) -> Result<(), Status> {
        let key = registry.key(self.principal.id()).ok_or(KeyRefusal::Unknown);
        key.and_then(|key| key.is_good(Timestamp::now())).map_err(not_authenticated)
    }

    /// How facts name the caller: the key, which is certain, and the name for which it says that it speaks, which is
    /// not.
    pub(crate) fn by(&self) -> String {
        match &self.speaks_for {
            Some(name) => format!("{} for {name}", self.principal),
            None => self.principal.to_string(),
        }
    }

    /// The same caller, speaking for the person that the request names in its field `requested_by`.
    pub(crate) fn asked_by(mut self, name: &str) -> Result<Self, Status> {
        if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(invalid("requested_by", format!("is not one line of at most {MAX_NAME} characters")));
        }
        if !name.is_empty() {
            self.speaks_for = Some(name.to_owned());
        }
        Ok(self)
    }
}
