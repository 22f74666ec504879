//! The registry: accounts, clients, interfaces, API users, destinations, tokens and API keys.
//!
//! [`account`], [`model`], [`request`], [`transport`] and [`api_key`] define the entities, [`address`] and
//! [`confirmation`] the mail addresses that they may have, and [`facts`] what is stored. [`state`] folds the facts;
//! [`ordering`] is the part of the past that it keeps. [`decide`] is the only way to a new fact; a [`refusal`] says why
//! there is none. [`checks`] and [`request_checks`] look at fields, [`limits`] bounds what an account may have.

mod account;
mod address;
mod api_key;
mod by_scope;
mod checks;
mod compatibility;
mod confirmation;
mod consent;
mod content;
mod decide;
mod entity;
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
mod request_checks;
mod sealed;
mod secret;
mod state;
mod transport;
mod urls;

pub use account::{Account, ApiUser, Client, Interface, Role, Routing};
pub use address::{MAX_ADDRESS, check_brand, check_email, envelope_address};
pub use api_key::{ApiKey, KeyHash, KeyRefusal};
pub use compatibility::{CompatibilitySignature, Encoding, Hash, SignedContent};
pub use confirmation::Confirmation;
pub use content::{ContentType, Format};
pub use decide::{Command, Decision};
pub use entity::EntityKind;
pub use facts::{Change, RegistryFact};
pub use form::{Form, Lists, Nesting};
pub use limits::Limits;
pub use model::{Algorithm, Destination, EventTypePattern, Scope, Token, TokenSecret};
pub use oauth2::{ClientAuthentication, OAuth2Client};
pub use opt_out::OptOut;
pub use refusal::{Mistakes, Refusal};
pub use request::{
    Body, CredentialKind, Credentials, DeactivatedBy, Deactivation, DeactivationCause, Method, RequestShape, WebhookId,
};
pub use sealed::Sealed;
pub use secret::SealedSecret;
pub use state::{AccountEntry, Registry};
pub use transport::{ClientCertificate, DestinationProxy, ProxyAddress, ProxyProtocol, Transport};
pub use urls::UrlRules;
