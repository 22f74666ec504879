//! Secrets: encryption at rest ([`sealing`]), signatures ([`signature`]), signatures of other senders
//! ([`compatibility`]), API keys ([`api_key`]), authenticated links ([`Links`]), fingerprints of master keys, keyed
//! hashes of searchable values ([`SearchKey`]), and certificates of TLS clients and authorities ([`certificates`]).
//!
//! Guarantee: `Debug` of a type that holds a secret does not print it.

pub mod api_key;
pub mod certificates;
pub mod compatibility;
mod digest;
mod fingerprint;
mod link;
pub mod sealing;
mod search;
pub mod secret;
pub mod signature;

pub use api_key::{ApiKey, ApiKeyError};
pub use certificates::{CertificateError, ClientIdentity, authorities};
pub use digest::sha256;
pub use link::{ConfirmationCodes, Links};
pub use sealing::{KeyError, MasterKey, OpenError};
pub use search::SearchKey;
pub use secret::{ImportError, RawFormat, Secret, SecretError};
pub use signature::{Rejection, Signer, Verifier, VerifierError, sign, verify};
