//! Secrets: sealed at rest ([`sealing`]), the signatures that they make ([`signature`]), keys of the API ([`api_key`]),
//! and links that vouch for themselves ([`Links`]).
//!
//! Nothing here prints a secret: `Debug` of every type that holds one shows only that it does.

pub mod api_key;
mod link;
pub mod sealing;
pub mod secret;
pub mod signature;

pub use api_key::{ApiKey, ApiKeyError};
pub use link::Links;
pub use sealing::{KeyError, MasterKey, OpenError};
pub use secret::{Secret, SecretError};
pub use signature::{Rejection, Signer, Verifier, VerifierError, sign, verify};
