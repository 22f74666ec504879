//! Authentication of gRPC services.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use crate::authenticator::Authenticator;

/// A service that only permitted callers can reach.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    authenticator: Authenticator,
    inner: S,
}

impl Authenticator {
    /// Guards a service. The principal is in the extensions of each request that reaches it, as a
    /// [`domain::Principal`].
    pub fn guard<S>(&self, service: S) -> Guarded<S> {
        Guarded { authenticator: self.clone(), inner: service }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // `poll_ready` made this very service ready, so it has to take the call. The clone stays for the next call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let authenticator = self.authenticator.clone();
        Box::pin(async move {
            let Some(rule) = authenticator.rules.of(request.uri().path()) else {
                return Ok(Status::unimplemented("there is no such method; leadline call lists them").into_http());
            };
            match authenticator.admit(request.headers(), rule).await {
                Ok(principal) => {
                    request.extensions_mut().insert(principal);
                    inner.call(request).await
                }
                Err(refused) => Ok(Status::from(&refused).into_http()),
            }
        })
    }
}
