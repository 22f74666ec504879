//! The registry: accounts, clients, interfaces, API users, destinations, tokens and API keys.
//!
//! [`account`] and [`model`] define the entities, [`address`] and [`confirmation`] the mail addresses that they may
//! have, and [`facts`] what is stored. [`state`] folds the facts; [`ordering`] is the part of the past that it keeps.
//! [`decide`] is the only way to a new fact; a [`refusal`] says why there is none. [`limits`] bounds what an account
//! may have.

mod account;
mod address;
mod by_scope;
mod checks;
mod compatibility;
mod confirmation;
mod content;
mod decide;
mod facts;
mod fan_out;
mod form;
mod keys;
mod limits;
mod model;
mod oauth2;
mod opt_out;
mod ordering;
mod refusal;
mod request;
mod sealed;
mod state;
mod transport;

pub use account::{Account, ApiUser, Client, Interface, Role, Routing};
pub use address::{MAX_ADDRESS, check_brand, check_email, envelope_address};
pub use compatibility::{CompatibilitySignature, Encoding, Hash, SignedContent};
pub use confirmation::Confirmation;
pub use content::{ContentType, Format};
pub use decide::{Command, Decision};
pub use facts::{Change, EntityKind, RegistryFact};
pub use form::{Form, Lists, Nesting};
pub use keys::{ApiKey, KeyHash, KeyRefusal};
pub use limits::Limits;
pub use model::{Algorithm, Destination, EventTypePattern, Scope, SealedSecret, Token, TokenSecret};
pub use oauth2::{ClientAuthentication, OAuth2Client};
pub use opt_out::OptOut;
pub use refusal::{Mistakes, Refusal, UrlRules};
pub use request::{
    Body, CredentialKind, Credentials, DeactivatedBy, Deactivation, DeactivationCause, Method, RequestShape, WebhookId,
};
pub use sealed::Sealed;
pub use state::{AccountEntry, Registry};
pub use transport::{ClientCertificate, DestinationProxy, ProxyAddress, ProxyProtocol, Transport};
