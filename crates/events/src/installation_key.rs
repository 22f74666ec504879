//! The stored fingerprint of an installation's master key.

use bytes::Bytes;
use prost::Message as _;

use crate::{
    primitives::{message, wrong},
    record::{Record, RecordError},
    stored,
};

/// The master key of an installation, identified by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationKey {
    /// A hash that differs for every key.
    pub fingerprint: String,
}

impl Record for InstallationKey {
    const NAME: &'static str = "installation key";

    fn encode(&self) -> Bytes {
        stored::InstallationKey { fingerprint: self.fingerprint.clone() }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored::InstallationKey { fingerprint } = message(Self::NAME, bytes)?;
        if fingerprint.is_empty() {
            return Err(wrong(Self::NAME, "fingerprint", "is missing"));
        }
        Ok(Self { fingerprint })
    }
}
