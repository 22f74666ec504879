//! The other end of the door: a client that shows its key with every call.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// A channel whose calls all show a key.
pub type Keyed = InterceptedService<Channel, WithKey>;

/// Shows a key with every call. It is not printed.
#[derive(Debug, Clone)]
pub struct WithKey(MetadataValue<Ascii>);

impl WithKey {
    /// Shows this key, `ll_…`. `None`: no header can hold it.
    pub fn new(key: &str) -> Option<Self> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", key.trim()).parse().ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// A channel that does.
    pub fn over(self, channel: Channel) -> Keyed {
        InterceptedService::new(channel, self)
    }
}

impl Interceptor for WithKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
