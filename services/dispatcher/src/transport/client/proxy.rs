//! Connections through a proxy: CONNECT of HTTP/1.1 (RFC 9110, 9.3.6) or SOCKS 5 (RFC 1928, 1929).
//!
//! The answer of a proxy concerns the proxy, its rules or the receiver; this module distinguishes these. SOCKS uses
//! tokio-socks. CONNECT uses hyper, because proxy clients in libraries do not return the status of the answer.

use std::{error::Error, fmt, future::poll_fn, io, net::SocketAddr, pin::pin};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::{
    ErrorKind,
    registry::{ProxyAddress, ProxyProtocol},
};
use http::{
    Request, StatusCode,
    header::{HOST, PROXY_AUTHORIZATION, USER_AGENT},
};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_socks::{Error as SocksError, tcp::Socks5Stream};

use crate::transport::resolver::LookupError;

/// A proxy, and the login of Leadline there.
#[derive(Clone)]
pub(crate) struct Proxy {
    address: ProxyAddress,
    /// Username and password.
    login: Option<(String, String)>,
    owner: Owner,
}

/// Whether the operator or an account has configured a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Installation,
    Destination,
}

/// The target of a connection through a proxy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Address(SocketAddr),
    Name(&'a str, u16),
}

/// A failed connection through a proxy.
#[derive(Debug)]
pub(crate) struct ProxyFailure {
    owner: Owner,
    address: ProxyAddress,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("has no address that may be called")]
    Lookup(#[source] LookupError),
    #[error("cannot be reached")]
    Connect(#[source] io::Error),
    #[error("did not accept a connection in time")]
    Timeout,
    #[error("asks for a username and a password, or refuses those that it got ({0})")]
    Login(String),
    #[error("refuses to connect to the receiver: {0}")]
    Refused(String),
    #[error("has no connection to the receiver: {answer}")]
    Unreached { answer: String, timeout: bool },
    #[error("does not answer as a proxy does: {0}")]
    Protocol(String),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?} {})", self.address.protocol, self.address)
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for ProxyFailure {
    /// Hides the address of the installation's proxy from accounts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            Owner::Installation => write!(f, "the egress proxy of this installation {}", self.fault),
            Owner::Destination => write!(f, "the proxy {} {}", self.address, self.fault),
        }
    }
}

impl Error for ProxyFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.fault.source()
    }
}

impl ProxyFailure {
    /// The error kind of the attempt; `None` if the installation is at fault, so that no attempt is recorded.
    pub(crate) const fn kind(&self) -> Option<ErrorKind> {
        match (&self.fault, self.owner) {
            (Fault::Unreached { timeout: false, .. }, _) => Some(ErrorKind::Connect),
            (Fault::Unreached { timeout: true, .. }, _) => Some(ErrorKind::Timeout),
            (Fault::Refused(_), Owner::Installation) => Some(ErrorKind::Blocked),
            (_, Owner::Installation) => None,
            (_, Owner::Destination) => Some(ErrorKind::Proxy),
        }
    }

    /// Whether another address of the receiver may work.
    pub(super) const fn is_about_address(&self) -> bool {
        matches!(self.fault, Fault::Unreached { .. } | Fault::Refused(_))
    }

    /// The failure of `next`, which should be reached through this proxy.
    pub(super) fn on_the_way_to(self, next: &Proxy) -> Self {
        if self.kind().is_none() {
            return self;
        }
        next.failure(Fault::Connect(io::Error::other(self.to_string())))
    }
}

impl Proxy {
    pub(crate) const fn of_destination(address: ProxyAddress, login: Option<(String, String)>) -> Self {
        Self { address, login, owner: Owner::Destination }
    }

    pub(crate) const fn of_installation(address: ProxyAddress, login: Option<(String, String)>) -> Self {
        Self { address, login, owner: Owner::Installation }
    }

    pub(super) const fn address(&self) -> &ProxyAddress {
        &self.address
    }

    pub(super) fn failure(&self, fault: Fault) -> ProxyFailure {
        ProxyFailure { owner: self.owner, address: self.address.clone(), fault }
    }

    /// Asks the proxy at the other end of a stream to connect to the target. Returns the stream, which then carries the
    /// data between Leadline and the target.
    pub(super) async fn open(&self, stream: TcpStream, target: Target<'_>) -> Result<TcpStream, ProxyFailure> {
        let opened = match self.address.protocol {
            ProxyProtocol::Http => self.open_http(stream, target).await,
            ProxyProtocol::Socks5 => self.open_socks5(stream, target).await,
        };
        opened.map_err(|fault| self.failure(fault))
    }

    async fn open_http(&self, stream: TcpStream, target: Target<'_>) -> Result<TcpStream, Fault> {
        let protocol = |error: &dyn fmt::Display| Fault::Protocol(error.to_string());
        let request = self.connect_request(target).map_err(|e| protocol(&e))?;
        let handshake = Builder::new().handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await;
        let (mut sender, mut connection) = handshake.map_err(|e| protocol(&e))?;
        let mut response = pin!(sender.send_request(request));
        let mut ended = false;
        let answer = poll_fn(|cx| {
            // The request gets the error of the connection. The connection also ends after an answer that opens the
            // tunnel.
            ended = ended || connection.poll_without_shutdown(cx).is_ready();
            response.as_mut().poll(cx)
        });
        let status = answer.await.map_err(|e| protocol(&e))?.status();
        if !status.is_success() {
            return Err(refusal(status));
        }
        let parts = connection.into_parts();
        if !parts.read_buf.is_empty() {
            return Err(Fault::Protocol("it sent more data after its answer".into()));
        }
        Ok(parts.io.into_inner())
    }

    fn connect_request(&self, target: Target<'_>) -> Result<Request<Empty<Bytes>>, http::Error> {
        let authority = target.to_string();
        let mut request = Request::connect(&authority).header(HOST, &authority).header(USER_AGENT, render::AGENT);
        if let Some((username, password)) = &self.login {
            let login = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
            request = request.header(PROXY_AUTHORIZATION, login);
        }
        request.body(Empty::new())
    }

    async fn open_socks5(&self, stream: TcpStream, target: Target<'_>) -> Result<TcpStream, Fault> {
        let login = self.login.as_ref().map(|(username, password)| (username.as_str(), password.as_str()));
        let opened = match (target, login) {
            (Target::Address(address), None) => Socks5Stream::connect_with_socket(stream, address).await,
            (Target::Name(host, port), None) => Socks5Stream::connect_with_socket(stream, (host, port)).await,
            (Target::Address(address), Some((username, password))) => {
                Socks5Stream::connect_with_password_and_socket(stream, address, username, password).await
            }
            (Target::Name(host, port), Some((username, password))) => {
                Socks5Stream::connect_with_password_and_socket(stream, (host, port), username, password).await
            }
        };
        opened.map(Socks5Stream::into_inner).map_err(of_socks)
    }
}

/// The fault that the status of an answer to CONNECT indicates. A proxy answers 5xx if it cannot reach the receiver.
fn refusal(status: StatusCode) -> Fault {
    let answer = status.to_string();
    match status {
        // tinyproxy answers 401 instead of 407.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => Fault::Login(answer),
        StatusCode::GATEWAY_TIMEOUT => Fault::Unreached { answer, timeout: true },
        _ if status.is_server_error() => Fault::Unreached { answer, timeout: false },
        _ => Fault::Refused(answer),
    }
}

fn of_socks(error: SocksError) -> Fault {
    let answer = error.to_string();
    match error {
        SocksError::NetworkUnreachable
        | SocksError::HostUnreachable
        | SocksError::ConnectionRefused
        | SocksError::GeneralSocksServerFailure => Fault::Unreached { answer, timeout: false },
        SocksError::TtlExpired => Fault::Unreached { answer, timeout: true },
        SocksError::ConnectionNotAllowedByRuleset
        | SocksError::CommandNotSupported
        | SocksError::AddressTypeNotSupported => Fault::Refused(answer),
        SocksError::NoAcceptableAuthMethods
        | SocksError::PasswordAuthFailure(_)
        | SocksError::AuthorizationRequired => Fault::Login(answer),
        _ => Fault::Protocol(answer),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn kinds(fault: impl Fn() -> Fault) -> (Option<ErrorKind>, Option<ErrorKind>) {
        let address = ProxyAddress::of(&Url::parse("http://proxy.example:3128").unwrap()).unwrap();
        let [own, other] = [Proxy::of_installation, Proxy::of_destination]
            .map(|make| make(address.clone(), None).failure(fault()).kind());
        (own, other)
    }

    #[test]
    fn only_a_fault_of_a_destinations_proxy_is_an_attempt() {
        let faults: [fn() -> Fault; 5] = [
            || Fault::Connect(io::ErrorKind::ConnectionRefused.into()),
            || Fault::Timeout,
            || Fault::Protocol("SSH-2.0".into()),
            || refusal(StatusCode::PROXY_AUTHENTICATION_REQUIRED),
            || refusal(StatusCode::UNAUTHORIZED),
        ];
        for fault in faults {
            assert_eq!(kinds(fault), (None, Some(ErrorKind::Proxy)), "{:?}", fault());
        }
    }

    #[test]
    fn a_proxy_reports_faults_of_the_receiver() {
        let both = |kind| (Some(kind), Some(kind));
        for status in [500, 502, 503] {
            let fault = || refusal(StatusCode::from_u16(status).unwrap());
            assert_eq!(kinds(fault), both(ErrorKind::Connect), "{status}");
        }
        assert_eq!(kinds(|| refusal(StatusCode::GATEWAY_TIMEOUT)), both(ErrorKind::Timeout));
        assert_eq!(kinds(|| of_socks(SocksError::HostUnreachable)), both(ErrorKind::Connect));
        assert_eq!(kinds(|| of_socks(SocksError::TtlExpired)), both(ErrorKind::Timeout));
        let refused = (Some(ErrorKind::Blocked), Some(ErrorKind::Proxy));
        assert_eq!(kinds(|| refusal(StatusCode::FORBIDDEN)), refused);
        assert_eq!(kinds(|| of_socks(SocksError::ConnectionNotAllowedByRuleset)), refused);
    }

    #[test]
    fn the_password_of_a_proxy_is_not_printed() {
        let address = ProxyAddress::of(&Url::parse("socks5://proxy.example").unwrap()).unwrap();
        let proxy = Proxy::of_installation(address, Some(("user".into(), "secret".into())));
        assert_eq!(format!("{proxy:?}"), "Proxy(Socks5 proxy.example:1080)");
    }
}
