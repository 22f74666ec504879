//! The settings of a destination's connections that differ from those of the installation.

use std::fmt;

use jiff::Timestamp;
use url::{Host, Url};

use crate::{
    ids::{AccountId, DestinationId},
    registry::{
        entities::secret::SealedSecret,
        refusal::{Refusal, invalid},
    },
};

/// The default port of a SOCKS proxy (IANA).
const SOCKS_PORT: u16 = 1080;

/// The settings of a destination's connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Transport {
    /// The client certificate of the TLS handshake (mutual TLS); `None` if there is none.
    pub client_certificate: Option<ClientCertificate>,
    /// Certificates (PEM) of the authorities that sign the receiver's certificate. They replace the authorities of the
    /// installation. `None` if those are used.
    pub authorities: Option<String>,
    /// The destination's own proxy; `None` if it has none.
    pub proxy: Option<DestinationProxy>,
}

/// The certificate of a TLS client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// Certificates (PEM): the client's own, then the intermediate ones.
    pub chain: String,
    /// The private key (PEM), sealed.
    pub key: SealedSecret,
    /// The subject of the client's own certificate, in the notation of RFC 4514.
    pub subject: String,
    /// When the client's own certificate expires.
    pub not_after: Timestamp,
}

/// The proxy of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DestinationProxy {
    /// Its URL, without credentials.
    pub url: String,
    /// Empty if the proxy needs no login.
    pub username: String,
    /// The password, sealed; `None` if there is none.
    pub password: Option<SealedSecret>,
}

impl Transport {
    /// The maximum size of a list of certificates, in bytes; about thirty certificates.
    pub const MAX_CERTIFICATES: usize = 64 * 1024;
    /// The maximum size of a private key, in bytes: RSA with 16,384 bits takes 13,000.
    pub const MAX_KEY: usize = 16 * 1024;
    /// The maximum length of a username or password of a proxy, in bytes (RFC 1929).
    pub const MAX_PROXY_LOGIN: usize = 255;

    /// Bytes of certificates, which every process holds in memory.
    pub(in crate::registry) fn certificate_bytes(&self) -> usize {
        let chain = self.client_certificate.as_ref().map_or(0, |certificate| certificate.chain.len());
        chain + self.authorities.as_ref().map_or(0, String::len)
    }

    pub(in crate::registry) fn check(&self) -> Result<(), Refusal> {
        let too_long = |field| invalid(field, format!("is longer than {} bytes", Self::MAX_CERTIFICATES));
        if self.client_certificate.as_ref().is_some_and(|own| own.chain.len() > Self::MAX_CERTIFICATES) {
            return Err(too_long("client_certificate.certificate_chain"));
        }
        if self.authorities.as_ref().is_some_and(|pem| pem.len() > Self::MAX_CERTIFICATES) {
            return Err(too_long("ca_certificates"));
        }
        self.proxy.as_ref().map_or(Ok(()), DestinationProxy::check)
    }
}

impl ClientCertificate {
    /// The context that the sealed key is bound to.
    pub fn belongs_to(account: &AccountId, id: &DestinationId) -> String {
        format!("{account}/{id}/client_certificate")
    }
}

impl DestinationProxy {
    /// The context that the sealed password is bound to.
    pub fn belongs_to(account: &AccountId, id: &DestinationId) -> String {
        format!("{account}/{id}/proxy")
    }

    fn check(&self) -> Result<(), Refusal> {
        let url = Url::parse(&self.url).map_err(|e| invalid("proxy.url", format!("is not a URL: {e}")))?;
        ProxyAddress::of(&url).map_err(|problem| invalid("proxy.url", problem))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "proxy.url",
                "must not contain credentials; give them as username and password".into(),
            ));
        }
        let longest = Transport::MAX_PROXY_LOGIN;
        if self.username.len() > longest || self.username.chars().any(|c| c.is_control() || c == ':') {
            let problem = format!("has to be one line of at most {longest} bytes without ':'");
            return Err(invalid("proxy.username", problem));
        }
        if self.username.is_empty() && self.password.is_some() {
            return Err(invalid("proxy.username", "is missing, although there is a password".into()));
        }
        Ok(())
    }
}

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// CONNECT of HTTP/1.1 (RFC 9110, 9.3.6).
    Http,
    /// SOCKS 5 (RFC 1928).
    Socks5,
}

/// The address of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProxyAddress {
    pub protocol: ProxyProtocol,
    pub host: Host,
    pub port: u16,
}

impl ProxyAddress {
    /// The address in a URL; its credentials are ignored.
    ///
    /// # Errors
    /// If it is not the URL of a proxy. The error is worded to follow the name of a setting.
    pub fn of(url: &Url) -> Result<Self, String> {
        let (protocol, port) = match url.scheme() {
            "http" => (ProxyProtocol::Http, url.port_or_known_default()),
            "socks5" => (ProxyProtocol::Socks5, url.port().or(Some(SOCKS_PORT))),
            _ => return Err("has to begin with http:// (CONNECT) or socks5://".into()),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("has a path, and a proxy only has a host and a port".into());
        }
        // The parser does not normalise hosts of schemes outside the URL standard, so 127.1 would be a name.
        let host = url.host_str().map(Host::parse).and_then(Result::ok);
        let (Some(host), Some(port)) = (host, port) else { return Err("names no host".into()) };
        Ok(Self { protocol, host, port })
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<String, String> {
        let address = ProxyAddress::of(&Url::parse(url).unwrap())?;
        Ok(format!("{:?} {address}", address.protocol))
    }

    #[test]
    fn the_url_of_a_proxy_is_scheme_host_and_port() {
        for (url, expected) in [
            ("http://proxy.example:3128", "Http proxy.example:3128"),
            ("http://proxy.example:80/", "Http proxy.example:80"),
            ("http://user:pw@proxy.example", "Http proxy.example:80"),
            ("socks5://proxy.example", "Socks5 proxy.example:1080"),
            ("socks5://[2001:db8::1]:80", "Socks5 [2001:db8::1]:80"),
            ("socks5://Proxy.Example:1", "Socks5 proxy.example:1"),
            ("socks5://127.1:9050", "Socks5 127.0.0.1:9050"),
        ] {
            assert_eq!(address(url).as_deref(), Ok(expected), "{url}");
        }
        for url in
            ["https://h:1", "socks4://h", "socks5h://h", "http://h/path", "http://h?a=b", "socks5:h", "mailto:a@b"]
        {
            assert!(address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn credentials_of_a_proxy_are_not_part_of_its_url() {
        let check = |url: &str, username: &str, password: Option<&[u8]>| {
            let password = password.map(|bytes| SealedSecret(bytes.to_vec()));
            let proxy = DestinationProxy { url: url.into(), username: username.into(), password };
            Transport { proxy: Some(proxy), ..Transport::default() }.check().map_err(|e| e.to_string())
        };
        assert_eq!(check("http://proxy.example:3128", "leadline", Some(b"sealed")), Ok(()));
        for (refused, field) in [
            (check("http://user:pw@proxy.example:3128", "", None), "proxy.url: must not contain credentials"),
            (check("no url", "", None), "proxy.url: is not a URL"),
            (check("ftp://proxy.example", "", None), "proxy.url: has to begin with http://"),
            (check("socks5://proxy.example", "a:b", None), "proxy.username: has to be one line"),
            (check("socks5://proxy.example", "", Some(b"sealed")), "proxy.username: is missing"),
        ] {
            let problem = refused.unwrap_err();
            assert!(problem.starts_with(field), "{problem}");
        }
    }

    #[test]
    fn certificates_are_bounded() {
        let long = Some("x".repeat(Transport::MAX_CERTIFICATES + 1));
        let refused = Transport { authorities: long, ..Transport::default() }.check().unwrap_err().to_string();
        assert!(refused.starts_with("ca_certificates: is longer than"), "{refused}");
    }
}
