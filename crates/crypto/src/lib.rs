//! Secrets: sealed at rest ([`sealing`]), the signatures that they make ([`signature`]), keys of the API ([`api_key`]),
//! links that vouch for themselves ([`Links`]), and what tells two master keys apart ([`fingerprint`]).
//!
//! Nothing here prints a secret: `Debug` of every type that holds one shows only that it does.

pub mod api_key;
mod fingerprint;
mod link;
pub mod sealing;
pub mod secret;
pub mod signature;

pub use api_key::{ApiKey, ApiKeyError};
pub use link::{ConfirmationCodes, Links};
pub use sealing::{KeyError, MasterKey, OpenError};
pub use secret::{Secret, SecretError};
pub use signature::{Rejection, Signer, Verifier, VerifierError, sign, verify};
