//! From a host name to a connection that can take a request.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use domain::{AccountId, Guard};
use futures::{StreamExt as _, stream::FuturesUnordered};
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use url::Host;

use super::{
    failure::{Failure, Step},
    http1::Http1,
    http2::Http2,
    origin::Origin,
    tls::{Tls, chose_http2},
};
use crate::{
    outcome::out_of_files,
    resolver::{LookupError, Resolve},
};

/// How long an address has for itself before the next one is tried beside it (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The most addresses of a host that are tried; large services name up to eight in one answer.
const MAX_ADDRESSES: usize = 8;

/// What HTTP is spoken over.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

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
}

/// Whom a request goes to, and how long it may take to get there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) account: &'a AccountId,
    pub(super) origin: &'a Origin,
    pub(super) deadline: Instant,
}

impl Call<'_> {
    /// Opens a connection; HTTP/2 is not offered to those that want HTTP/1.1 alone. Each address that connects gets a
    /// share of the time to agree on TLS, the last one all of it.
    ///
    /// # Errors
    /// What the last address that was tried said.
    pub(super) async fn dial(self, http1_alone: bool) -> Result<Connected, Failure> {
        let Self { dialer, account, origin, deadline } = self;
        let mut addresses = dialer.addresses(account, origin, deadline).await?;
        loop {
            let connecting = timeout_at(deadline, connect_any(&addresses, origin.port)).await;
            let (stream, address) =
                connecting.map_err(|_| Failure::Timeout(Step::Connecting))?.map_err(Failure::Connect)?;
            if !origin.https {
                return Ok(Connected::Http1(Box::new(Http1::over(Either::Left(stream)).await?)));
            }
            addresses.retain(|other| *other != address);
            let now = Instant::now();
            let patience = if addresses.is_empty() { deadline } else { now + (deadline - now) / 2 };
            match timeout_at(patience, dialer.agree(origin, http1_alone, stream)).await {
                Ok(Ok(connected)) => return Ok(connected),
                // A certificate that is refused would be one at each address.
                Ok(Err(error)) if addresses.is_empty() || is_about_tls(&error) => return Err(error),
                Err(_) if addresses.is_empty() => return Err(Failure::Timeout(Step::Handshake)),
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}

impl Dialer {
    async fn addresses(&self, account: &AccountId, origin: &Origin, deadline: Instant) -> Result<Vec<IpAddr>, Failure> {
        let found = match &origin.host {
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
            (false, _) => Ok(in_turns(allowed)),
            (true, true) => Err(LookupError::NoAddress(origin.host.to_string()).into()),
            (true, false) => Err(LookupError::NotPublic(origin.host.to_string()).into()),
        }
    }

    async fn agree(&self, origin: &Origin, http1_alone: bool, stream: TcpStream) -> Result<Connected, Failure> {
        let name = match &origin.host {
            Host::Domain(host) => ServerName::try_from(host.clone()).map_err(io::Error::other),
            Host::Ipv4(address) => Ok(ServerName::from(IpAddr::from(*address))),
            Host::Ipv6(address) => Ok(ServerName::from(IpAddr::from(*address))),
        };
        let connector = TlsConnector::from(self.tls.config(http1_alone));
        let stream = connector.connect(name.map_err(Failure::Handshake)?, stream).await.map_err(Failure::Handshake)?;
        let http2 = chose_http2(stream.get_ref().1);
        let stream = Either::Right(Box::new(stream));
        Ok(if http2 {
            Connected::Http2(Http2::over(stream).await?)
        } else {
            Connected::Http1(Box::new(Http1::over(stream).await?))
        })
    }
}

fn is_about_tls(failure: &Failure) -> bool {
    super::failure::causes(failure).any(|cause| cause.is::<rustls::Error>())
}

/// The two families in turns, beginning with the one that the resolver prefers: a family that leads nowhere costs one
/// delay, not one for each of its addresses (RFC 8305, 4).
fn in_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let prefers_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == prefers_v6);
    let mut turns = vec![];
    while turns.len() < MAX_ADDRESSES
        && let Some(address) = first.pop_front().or_else(|| second.pop_front())
    {
        turns.push(address);
        turns.extend(second.pop_front());
    }
    turns.truncate(MAX_ADDRESSES);
    turns
}

/// Connects to the first address that answers (RFC 8305, 5).
async fn connect_any(addresses: &[IpAddr], port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let mut left = addresses.iter().copied();
    let mut trying = FuturesUnordered::new();
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    trying.extend(left.next().map(|address| connect(address, port)));
    loop {
        tokio::select! {
            connected = trying.next() => match connected {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(error)) if out_of_files(&error).is_some() => return Err(error),
                Some(Err(error)) => refused = error,
                None => return Err(refused),
            },
            () = sleep(ATTEMPT_DELAY), if left.len() > 0 => {}
        }
        trying.extend(left.next().map(|address| connect(address, port)));
    }
}

async fn connect(address: IpAddr, port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let stream = TcpStream::connect(SocketAddr::new(address, port)).await?;
    // A request is written as a whole; waiting for more of it would only delay it.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}
