//! Secrets: sealed at rest ([`sealing`]), and the signatures that they make ([`signature`]).
//!
//! Nothing here prints a secret: `Debug` of every type that holds one shows only that it does.

pub mod sealing;
pub mod secret;
pub mod signature;

pub use sealing::{KeyError, MasterKey, OpenError};
pub use secret::{Secret, SecretError};
pub use signature::{Rejection, Signer, Verifier, VerifierError, sign, verify};
