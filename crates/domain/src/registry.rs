//! Accounts, interfaces, destinations and tokens: what is configured.
//!
//! [`model`] is what there is, [`facts`] what is recorded, [`state`] the registry that the facts add up to, and
//! [`decide`] the only way to a new fact.

mod decide;
mod facts;
mod model;
mod request;
mod state;

pub use decide::{Command, Decision, Refusal, UrlRules};
pub use facts::{Change, EntityKind, RegistryFact};
pub use model::{
    Account, Algorithm, Destination, EventTypePattern, Interface, Scope, SealedSecret, Token, TokenSecret, check_email,
};
pub use request::{Body, CredentialKind, Credentials, Deactivation, DeactivationCause, Method, RequestShape};
pub use state::{AccountEntry, Registry};
