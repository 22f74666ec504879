//! Secrets in the registry.

use std::fmt;

/// A stored secret, sealed with the master key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SealedSecret(pub Vec<u8>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}
