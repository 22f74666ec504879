//! The registry: accounts, clients, interfaces, API users, destinations, tokens and API keys.
//!
//! [`entities`] and [`request`] define the content of facts, and [`facts`] the facts themselves. [`state`] folds the
//! facts. Every change of the configuration comes from [`decide`]; a [`refusal`] explains why a command leads to no
//! change. [`checks`] checks fields, and [`limits`] bounds the entities of an account.

mod decide;
mod facts;
mod limits;
mod refusal;

/// Accounts and their entities, destinations, tokens and API keys.
mod entities {
    pub(super) mod account;
    pub(super) mod address;
    pub(super) mod api_key;
    pub(super) mod confirmation;
    pub(super) mod destination;
    pub(super) mod kind;
    pub(super) mod opt_out;
    pub(super) mod portal;
    pub(super) mod secret;
}

/// The shape of a destination's requests, and the settings of its connections.
pub(crate) mod request {
    pub(super) mod compatibility;
    pub(super) mod content;
    pub(super) mod form;
    pub(super) mod oauth2;
    pub(crate) mod shape;
    pub(super) mod transport;
}

/// The checks of single fields, and of the fields that shape requests together.
mod checks {
    pub(super) mod fields;
    pub(super) mod requests;
    pub(super) mod urls;
}

/// The registry as a fold of its facts, and its queries.
mod state {
    pub(super) mod account_entry;
    pub(super) mod by_scope;
    pub(super) mod consent;
    pub(super) mod fan_out;
    pub(super) mod fold;
    pub(super) mod keys;
    pub(super) mod ordering;
    pub(super) mod sealed;
    pub(super) mod searchable;
}

pub use checks::urls::UrlRules;
pub use decide::{Command, Decision};
pub use entities::account::{Account, ApiUser, Client, Interface, Role, Routing};
pub use entities::address::{MAX_ADDRESS, check_brand, check_email, envelope_address};
pub use entities::api_key::{ApiKey, KeyHash, KeyRefusal};
pub use entities::confirmation::Confirmation;
pub use entities::destination::{Algorithm, Destination, EventTypePattern, Scope, Token, TokenSecret};
pub use entities::kind::EntityKind;
pub use entities::opt_out::OptOut;
pub use entities::portal::{Color, Logo, NoPortal, Portal};
pub use entities::secret::SealedSecret;
pub use facts::{Change, RegistryFact};
pub use limits::Limits;
pub use refusal::{Mistakes, Refusal};
pub use request::compatibility::{CompatibilitySignature, Encoding, Hash, SignedContent};
pub use request::content::{ContentType, Format};
pub use request::form::{Form, Lists, Nesting};
pub use request::oauth2::{ClientAuthentication, OAuth2Client};
pub use request::shape::{
    Body, CredentialKind, Credentials, DeactivatedBy, Deactivation, DeactivationCause, Method, RequestShape, SentTrace,
    WebhookId,
};
pub use request::transport::{ClientCertificate, DestinationProxy, ProxyAddress, ProxyProtocol, Transport};
pub use state::account_entry::AccountEntry;
pub use state::fold::Registry;
pub use state::sealed::Sealed;
