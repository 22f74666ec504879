//! The route to the receiver of a destination, with its secrets opened: certificate, authorities and proxy.

use std::{fmt, sync::Arc};

use crypto::{MasterKey, OpenError};
use domain::registry::{ClientCertificate, Destination, DestinationProxy, ProxyAddress, Transport};
use url::Url;

use crate::transport::client::proxy::Proxy;

/// The settings of a destination's connections. Connections are shared by requests whose settings are equal.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) transport: Arc<Transport>,
    /// The private key of the client certificate (PEM); empty if there is none.
    pub(crate) key: String,
    pub(crate) proxy: Option<Proxy>,
}

/// Why there is no route.
#[derive(Debug)]
pub(crate) enum NoRoute {
    Sealed(OpenError),
    /// The URL of the proxy cannot be used.
    Proxy(String),
}

impl From<OpenError> for NoRoute {
    fn from(error: OpenError) -> Self {
        Self::Sealed(error)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Route {
    /// Opens the secrets of the destination's settings for connections; `None` if it has no such settings.
    pub(crate) fn of(destination: &Destination, key: &MasterKey) -> Result<Option<Self>, NoRoute> {
        let transport = &destination.transport;
        if **transport == Transport::default() {
            return Ok(None);
        }
        let (account, id) = (&destination.account, &destination.id);
        let open = |sealed: &[u8], belongs_to: &str| {
            let opened = key.open_bytes(sealed, belongs_to)?;
            Ok::<_, OpenError>(String::from_utf8_lossy(&opened).into_owned())
        };
        let own = transport.client_certificate.as_ref();
        let own = own.map(|own| open(&own.key.0, &ClientCertificate::belongs_to(account, id))).transpose()?;
        let proxy = |proxy: &DestinationProxy| {
            let address = Url::parse(&proxy.url).map_err(|e| e.to_string()).and_then(|url| ProxyAddress::of(&url));
            let address = address.map_err(NoRoute::Proxy)?;
            let password = proxy.password.as_ref();
            let password = password.map(|sealed| open(&sealed.0, &DestinationProxy::belongs_to(account, id)));
            let password = password.transpose()?.unwrap_or_default();
            let login = (!proxy.username.is_empty()).then(|| (proxy.username.clone(), password));
            Ok::<_, NoRoute>(Proxy::of_destination(address, login))
        };
        let proxy = transport.proxy.as_ref().map(proxy).transpose()?;
        Ok(Some(Self { transport: Arc::clone(transport), key: own.unwrap_or_default(), proxy }))
    }
}
