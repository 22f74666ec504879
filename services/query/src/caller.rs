//! Who calls: what is his business, and what facts say about who caused them.

use api::{
    registry::id,
    status::{denied, invalid, not_authenticated, refusal},
};
use domain::{AccountId, Principal, Registry, registry::KeyRefusal};
use jiff::Timestamp;
use tonic::{Request, Status};

/// The longest name of somebody whom a caller speaks for, in characters.
const MAX_NAME: usize = 100;
/// The metadata in which a caller may say whom it speaks for.
const SPEAKS_FOR: &str = "leadline-actor";

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Principal,
    speaks_for: Option<String>,
}

impl Caller {
    /// The caller of a request; the door has put him there.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let principal = request.extensions().get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Status::internal("a call came in past the door"))?;
        let said = request.metadata().get(SPEAKS_FOR).and_then(|value| value.to_str().ok());
        let speaks_for = said.filter(|name| !name.is_empty()).map(|name| name.chars().take(MAX_NAME).collect());
        Ok(Self { principal, speaks_for })
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The account that a request names, if it is the caller's business.
    pub(crate) fn account(&self, text: &str) -> Result<AccountId, Status> {
        let account = id("account_id", text, AccountId::parse).map_err(|e| refusal(&e))?;
        self.may_touch(&account)?;
        Ok(account)
    }

    pub(crate) fn may_touch(&self, account: &AccountId) -> Result<(), Status> {
        self.principal.may_touch(account).map_err(|e| denied(&e))
    }

    /// Whether something that was looked up by its own id may be shown. If not, it has to look as if there were none.
    pub(crate) fn may_see(&self, account: Option<&AccountId>) -> bool {
        match (self.principal.account(), account) {
            (None, _) => true,
            (Some(own), Some(account)) => own == account,
            (Some(_), None) => false,
        }
    }

    /// The account that a list is filtered by: the one that was asked for, or the caller's own; none: all there are.
    pub(crate) fn narrowed(&self, asked: Option<AccountId>) -> Result<Option<AccountId>, Status> {
        match asked {
            Some(account) => self.may_touch(&account).map(|()| Some(account)),
            None => Ok(self.principal.account().cloned()),
        }
    }

    /// Whether the key is still good: for what goes on for long. A call was let in with a key that this process knew.
    pub(crate) fn is_still_good(&self, registry: &Registry) -> Result<(), Status> {
        let key = registry.key(self.principal.id()).ok_or(KeyRefusal::Unknown);
        key.and_then(|key| key.is_good(Timestamp::now())).map_err(not_authenticated)
    }

    /// What a fact says about who caused it: the key, which is certain, and whom it said that it spoke for, which is
    /// not.
    pub(crate) fn by(&self) -> String {
        match &self.speaks_for {
            Some(name) => format!("{} for {name}", self.principal),
            None => self.principal.to_string(),
        }
    }

    /// The same caller, speaking for somebody whom the request names in its field `requested_by`.
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
