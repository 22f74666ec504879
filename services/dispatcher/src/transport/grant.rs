//! The credentials of a destination at its token server (OAuth 2.0).

use std::fmt;

use domain::registry::{OAuth2Client, SealedSecret};

/// The credentials for an access token.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client: OAuth2Client,
    pub(crate) secret: String,
    /// The sealed secret. It identifies the grant, because a changed grant is sealed again, to other bytes.
    pub(crate) sealed: Vec<u8>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant({} at {})", self.client.client_id, self.client.token_url)
    }
}

impl Grant {
    pub(crate) fn new(client: &OAuth2Client, secret: &[u8], sealed: &SealedSecret) -> Self {
        let secret = String::from_utf8_lossy(secret).into_owned();
        Self { client: client.clone(), secret, sealed: sealed.0.clone() }
    }
}
