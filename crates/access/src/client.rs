//! The client side of authentication: a channel that sends an API key with every call.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// A channel that sends an API key with every call.
pub type AuthChannel = InterceptedService<Channel, AuthInterceptor>;

/// Adds an API key to every call. `Debug` does not print it.
#[derive(Debug, Clone)]
pub struct AuthInterceptor(MetadataValue<Ascii>);

impl AuthInterceptor {
    /// `key` is the text `ll_…`. `None` if the text has characters that a header cannot contain.
    pub fn new(key: &str) -> Option<Self> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", key.trim()).parse().ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Wraps a channel so that each of its calls carries the key.
    pub fn over(self, channel: Channel) -> AuthChannel {
        InterceptedService::new(channel, self)
    }
}

impl Interceptor for AuthInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
