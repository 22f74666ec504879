//! The answer of a receiver or token server.

use http::{HeaderMap, StatusCode};

/// The maximum bytes of an answer's body that are read. A connection can only be used again after its body was read to
/// the end.
pub(crate) const MAX_BODY_READ: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) beginning: Vec<u8>,
}

impl Answer {
    #[cfg(test)]
    pub(crate) fn made_up(status: u16, body: &str) -> Self {
        let status = StatusCode::from_u16(status).expect("a test makes up a status");
        Self { status, headers: HeaderMap::new(), beginning: body.into() }
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn of<B>(response: &http::Response<B>) -> Self {
        Self { status: response.status(), headers: response.headers().clone(), beginning: vec![] }
    }
}
