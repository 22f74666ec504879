//! Digests of values that are not secret.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
