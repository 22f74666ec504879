//! Whom the client trusts, and what it speaks over TLS.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// The protocols to offer (RFC 7301), the preferred one first.
const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];
const HTTP1_ALONE: [&[u8]; 1] = [b"http/1.1"];

/// The two ways to greet a receiver. They remember the same sessions.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    both: Arc<ClientConfig>,
    http1_alone: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the public authorities, and those in a file.
    pub(super) fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = ca_file {
            let pem = fs::read(file).with_context(|| format!("--ca-file: {} cannot be read", file.display()))?;
            let bad = || format!("--ca-file: {} is no file of certificates in PEM", file.display());
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.with_context(bad)?).with_context(bad)?;
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
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
