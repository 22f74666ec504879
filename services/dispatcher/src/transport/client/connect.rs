//! Opens a connection: looks up the host, connects to an allowed address, perhaps through proxies, and agrees on TLS
//! and HTTP version.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use domain::{AccountId, Guard, registry::ProxyAddress};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use url::Host;

use super::{
    egress::{Egress, PROXY_TIMEOUT},
    http1::Http1,
    http2::Http2,
    origin::Origin,
    proxy::{Fault, Proxy, Target},
    stream::connect_any,
    tls::{Tls, chose_http2},
    wire::Wire,
};
use crate::transport::{
    failure::{Failure, Step, causes},
    resolver::{LookupError, Resolve},
    route::Route,
};

/// The maximum number of addresses of a host that are tried. The names of large services have up to eight addresses.
const MAX_ADDRESSES: usize = 8;

/// A new connection.
#[derive(Debug)]
pub(super) enum Connected {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// Opens connections, to allowed addresses only.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) guard: Guard,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: Tls,
    /// The proxy of the installation; `None` if receivers are called directly.
    pub(super) egress: Option<Arc<Egress>>,
}

/// The target of a request, and its deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) account: &'a AccountId,
    pub(super) origin: &'a Origin,
    pub(super) route: Option<&'a Route>,
    pub(super) deadline: Instant,
    pub(super) wire: &'a Wire,
}

impl Call<'_> {
    /// Opens a connection. HTTP/2 is not offered if `http1_alone` is set. The TLS handshake with each address may take
    /// half of the remaining time, and with the last address all of it.
    ///
    /// # Errors
    /// The failure of the last address.
    pub(super) async fn dial(self, http1_alone: bool) -> Result<Connected, Failure> {
        let Self { dialer, origin, route, deadline, wire, .. } = self;
        let config = if origin.https { Some(dialer.tls.configs(route)?.config(http1_alone)) } else { None };
        let mut endpoints = wire.time(|times| &mut times.dns, self.endpoints()).await?;
        loop {
            let connecting =
                wire.time(|times| &mut times.connect, timeout_at(deadline, self.connect(&endpoints))).await;
            let (stream, endpoint) = connecting.map_err(|_| Failure::Timeout(Step::Connecting))??;
            let Some(config) = &config else {
                return Ok(Connected::Http1(Box::new(Http1::over(Either::Left(stream)).await?)));
            };
            endpoints.retain(|other| *other != endpoint);
            let now = Instant::now();
            let patience = if endpoints.is_empty() { deadline } else { now + (deadline - now) / 2 };
            wire.note(|seen| seen.peer = stream.peer_addr().ok());
            match timeout_at(patience, handshake(origin, config, stream, wire)).await {
                Ok(Ok(connected)) => return Ok(connected),
                // A refused certificate would be refused at each address.
                Ok(Err(error)) if endpoints.is_empty() || is_about_tls(&error) => return Err(error),
                Err(_) if endpoints.is_empty() => return Err(Failure::Timeout(Step::Handshake)),
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    /// The addresses of the receiver, or its name if the proxy of the installation looks up names.
    async fn endpoints(self) -> Result<Vec<Endpoint>, Failure> {
        let Self { dialer, account, origin, deadline, .. } = self;
        if let (Some(egress), Host::Domain(_)) = (&dialer.egress, &origin.host)
            && egress.resolves
        {
            return Ok(vec![Endpoint::Name]);
        }
        let addresses = dialer.addresses(account, &origin.host, deadline).await?;
        Ok(addresses.into_iter().map(Endpoint::Address).collect())
    }

    async fn connect(self, endpoints: &[Endpoint]) -> Result<(TcpStream, Endpoint), Failure> {
        let own = self.route.and_then(|route| route.proxy.as_ref());
        if self.dialer.egress.is_some() || own.is_some() {
            return self.connect_through(own, endpoints).await;
        }
        let addresses: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.address()).collect();
        let (stream, address) = connect_any(&addresses, self.origin.port).await.map_err(Failure::Connect)?;
        Ok((stream, Endpoint::Address(address)))
    }

    /// Tries one endpoint after another, because the proxy decides how many connections it makes.
    async fn connect_through(
        self,
        own: Option<&Proxy>,
        endpoints: &[Endpoint],
    ) -> Result<(TcpStream, Endpoint), Failure> {
        let mut failure = Failure::Timeout(Step::Connecting);
        for (index, endpoint) in endpoints.iter().enumerate() {
            let (now, is_last) = (Instant::now(), index + 1 == endpoints.len());
            let patience = if is_last { self.deadline } else { now + (self.deadline - now) / 2 };
            failure = match timeout_at(patience, self.tunnel(own, *endpoint, patience)).await {
                Ok(Ok(stream)) => return Ok((stream, *endpoint)),
                Ok(Err(Failure::Proxy(failure))) if failure.is_about_address() => Failure::Proxy(failure),
                Ok(Err(failure)) => return Err(failure),
                Err(_) => Failure::Timeout(Step::Connecting),
            };
        }
        Err(failure)
    }

    /// A connection through the configured proxies. The proxy of a destination is reached through the proxy of the
    /// installation, which every connection uses.
    async fn tunnel(self, own: Option<&Proxy>, endpoint: Endpoint, deadline: Instant) -> Result<TcpStream, Failure> {
        let Self { dialer, account, origin, .. } = self;
        let target = endpoint.target(&origin.host, origin.port);
        let Some(own) = own else { return dialer.open(account, target, deadline).await };
        let stream = match self.reach(own, deadline).await {
            Err(Failure::Proxy(failure)) => return Err(failure.on_the_way_to(own).into()),
            // Here these failures concern the proxy, not the receiver.
            Err(Failure::Lookup(error)) => return Err(own.failure(Fault::Lookup(error)).into()),
            Err(Failure::Timeout(_)) => return Err(own.failure(Fault::Timeout).into()),
            Err(Failure::Connect(error)) => return Err(own.failure(Fault::Connect(error)).into()),
            reached => reached?,
        };
        Ok(own.open(stream, target).await?)
    }

    /// A connection to the proxy of a destination. The guard checks its address like that of a receiver.
    async fn reach(self, own: &Proxy, deadline: Instant) -> Result<TcpStream, Failure> {
        let Self { dialer, account, .. } = self;
        let ProxyAddress { host, port, .. } = own.address();
        if dialer.egress.as_ref().is_some_and(|egress| egress.resolves) {
            let blocked = |_| LookupError::NotPublic(host.to_string());
            dialer.guard.check_host(host).map_err(blocked)?;
            return dialer.open(account, Endpoint::Name.target(host, *port), deadline).await;
        }
        let patience = deadline.min(Instant::now() + PROXY_TIMEOUT);
        let addresses = dialer.addresses(account, host, patience).await?;
        match (&dialer.egress, addresses.as_slice()) {
            (Some(_), [first, ..]) => {
                dialer.open(account, Endpoint::Address(*first).target(host, *port), deadline).await
            }
            (_, addresses) => {
                let connecting = timeout_at(patience, connect_any(addresses, *port)).await;
                let connected = connecting.map_err(|_| Failure::Timeout(Step::Connecting))?;
                Ok(connected.map_err(Failure::Connect)?.0)
            }
        }
    }
}

/// The address or name that a connection is opened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Address(IpAddr),
    /// The proxy of the installation looks up the address.
    Name,
}

impl Endpoint {
    const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Name => None,
        }
    }

    fn target(self, host: &Host, port: u16) -> Target<'_> {
        match (self, host) {
            (Self::Address(address), _) => Target::Address(SocketAddr::new(address, port)),
            (Self::Name, Host::Domain(name)) => Target::Name(name, port),
            (Self::Name, Host::Ipv4(address)) => Target::Address(SocketAddr::new((*address).into(), port)),
            (Self::Name, Host::Ipv6(address)) => Target::Address(SocketAddr::new((*address).into(), port)),
        }
    }
}

impl Dialer {
    async fn addresses(&self, account: &AccountId, host: &Host, deadline: Instant) -> Result<Vec<IpAddr>, Failure> {
        let found = match host {
            Host::Ipv4(address) => vec![(*address).into()],
            Host::Ipv6(address) => vec![(*address).into()],
            Host::Domain(host) => {
                let found = timeout_at(deadline, self.resolver.resolve(account, host)).await;
                found.map_err(|_| Failure::Timeout(Step::Resolving))??
            }
        };
        let none = found.is_empty();
        let allowed: Vec<_> = found.into_iter().filter(|address| self.guard.check(*address).is_ok()).collect();
        match (allowed.is_empty(), none) {
            (false, _) => Ok(interleaved(allowed)),
            (true, true) => Err(LookupError::NoAddress(host.to_string()).into()),
            (true, false) => Err(LookupError::NotPublic(host.to_string()).into()),
        }
    }

    /// A connection through the proxy of the installation.
    async fn open(&self, account: &AccountId, target: Target<'_>, deadline: Instant) -> Result<TcpStream, Failure> {
        let Some(egress) = &self.egress else { return Err(Failure::Connect(io::ErrorKind::NotConnected.into())) };
        Ok(egress.open(account, target, deadline).await?)
    }
}

async fn handshake(
    origin: &Origin,
    config: &Arc<ClientConfig>,
    stream: TcpStream,
    wire: &Wire,
) -> Result<Connected, Failure> {
    let name = match &origin.host {
        Host::Domain(host) => ServerName::try_from(host.clone()).map_err(io::Error::other),
        Host::Ipv4(address) => Ok(ServerName::from(IpAddr::from(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(IpAddr::from(*address))),
    };
    let connector = TlsConnector::from(Arc::clone(config));
    let connecting = connector.connect(name.map_err(Failure::Handshake)?, stream);
    let stream = wire.time(|times| &mut times.tls, connecting).await.map_err(Failure::Handshake)?;
    let http2 = chose_http2(stream.get_ref().1);
    let stream = Either::Right(Box::new(stream));
    Ok(if http2 {
        Connected::Http2(Http2::over(stream).await?)
    } else {
        Connected::Http1(Box::new(Http1::over(stream).await?))
    })
}

fn is_about_tls(failure: &Failure) -> bool {
    causes(failure).any(|cause| cause.is::<rustls::Error>())
}

/// Alternates between IPv4 and IPv6, beginning with the family that the resolver prefers (RFC 8305, 4). So a family
/// that cannot be reached costs one delay, not one for each of its addresses.
fn interleaved(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let prefers_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == prefers_v6);
    let mut all = vec![];
    while all.len() < MAX_ADDRESSES
        && let Some(address) = first.pop_front().or_else(|| second.pop_front())
    {
        all.push(address);
        all.extend(second.pop_front());
    }
    all.truncate(MAX_ADDRESSES);
    all
}
