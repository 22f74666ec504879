//! TLS to receivers: trusted authorities, client certificate and protocols.

use std::{fmt, fs, path::Path, sync::Arc};

use anyhow::Context as _;
use crypto::{CertificateError, ClientIdentity, authorities};
use domain::registry::Transport;
use moka::sync::Cache;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject as _},
    sign::SingleCertAndKey,
};

use crate::transport::route::Route;

/// The protocols to offer (RFC 7301), the preferred one first.
const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];
const HTTP1_ALONE: [&[u8]; 1] = [b"http/1.1"];
/// The maximum number of configurations of destinations, each with the sessions that it may resume.
const MAX_CONFIGS: u64 = 1_000;

/// The configurations with and without HTTP/2. They share sessions.
#[derive(Debug, Clone)]
pub(super) struct Configs {
    both: Arc<ClientConfig>,
    http1_alone: Arc<ClientConfig>,
}

/// The TLS configurations of receivers.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    usual: Configs,
    /// For destinations with their own certificate or authorities.
    own: Cache<Arc<Transport>, Configs>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

/// Why the certificates of a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the client certificate of the destination cannot be used; set it again")]
    Identity(#[source] CertificateError),
    #[error("the authorities of the destination cannot be used; set them again")]
    Authorities(#[source] CertificateError),
    #[error("cannot set up TLS")]
    Rustls(#[from] rustls::Error),
}

impl Tls {
    /// Trusts the public authorities and those in the file.
    pub(super) fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = ca_file {
            let pem = fs::read(file).with_context(|| format!("--ca-file: {} cannot be read", file.display()))?;
            let bad = || format!("--ca-file: {} is not a PEM file of certificates", file.display());
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.with_context(bad)?).with_context(bad)?;
            }
        }
        let (provider, roots) = (Arc::new(ring::default_provider()), Arc::new(roots));
        let usual = Configs::new(&provider, Arc::clone(&roots), None)?;
        let own = Cache::builder().max_capacity(MAX_CONFIGS).build();
        Ok(Self { provider, roots, usual, own })
    }

    /// The configurations for the receiver of a destination.
    pub(super) fn configs(&self, route: Option<&Route>) -> Result<Configs, TlsError> {
        let own =
            route.filter(|route| route.transport.client_certificate.is_some() || route.transport.authorities.is_some());
        let Some(route) = own else { return Ok(self.usual.clone()) };
        if let Some(known) = self.own.get(&route.transport) {
            return Ok(known);
        }
        let made = self.made_for(route)?;
        self.own.insert(Arc::clone(&route.transport), made.clone());
        Ok(made)
    }

    fn made_for(&self, route: &Route) -> Result<Configs, TlsError> {
        let roots = match &route.transport.authorities {
            Some(pem) => Arc::new(authorities(pem).map_err(TlsError::Authorities)?.1),
            None => Arc::clone(&self.roots),
        };
        let identity = route.transport.client_certificate.as_ref();
        let identity = identity.map(|own| ClientIdentity::read(&own.chain, &route.key)).transpose();
        Ok(Configs::new(&self.provider, roots, identity.map_err(TlsError::Identity)?)?)
    }
}

impl Configs {
    fn new(
        provider: &Arc<CryptoProvider>,
        roots: Arc<RootCertStore>,
        identity: Option<ClientIdentity>,
    ) -> Result<Self, rustls::Error> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified))),
            None => builder.with_no_client_auth(),
        };
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self { both: offering(&BOTH), http1_alone: offering(&HTTP1_ALONE) })
    }

    pub(super) fn config(&self, http1_alone: bool) -> Arc<ClientConfig> {
        Arc::clone(if http1_alone { &self.http1_alone } else { &self.both })
    }
}

/// Whether the receiver chose HTTP/2.
pub(super) fn chose_http2(connection: &rustls::ClientConnection) -> bool {
    connection.alpn_protocol() == Some(BOTH[0])
}
