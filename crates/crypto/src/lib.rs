//! Secrets and signatures:
//!
//! * [`sealing`] – encryption at rest with the master key, and fingerprints of master keys
//! * [`signature`] – signatures of Standard Webhooks, and [`compatibility`] – those of other senders
//! * [`secret`] – signing secrets, and [`api_key`] – API keys
//! * [`Links`] – authenticated links, and [`SearchKey`] – keyed hashes of searchable values
//! * [`certificates`] – certificates of TLS clients and authorities
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
