//! TLS of the listeners: a certificate and its key from PEM files.
//!
//! The files are read once, at the start: a new certificate needs a restart, which loses nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct TlsOptions {
    /// File with the certificate chain (PEM) that HTTP and gRPC use for TLS; read once, at the start
    #[arg(long, env = "LEADLINE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// File with the private key of the certificate (PEM)
    #[arg(long, env = "LEADLINE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or does not contain the expected PEM item.
    #[error("cannot use {file}: no {what} in PEM; check {flag}")]
    File {
        flag: &'static str,
        file: String,
        what: &'static str,
        #[source]
        source: pem::Error,
    },
    /// The key belongs to another certificate, or is of an unknown kind.
    #[error("the key in --tls-key does not fit the certificate in --tls-cert; name the key of that certificate")]
    Pair(#[source] rustls::Error),
}

/// ALPN name of gRPC's protocol.
pub(crate) const H2: &[u8] = b"h2";
/// ALPN name of every other protocol.
pub(crate) const HTTP_1: &[u8] = b"http/1.1";

impl TlsOptions {
    /// Whether a certificate is given.
    pub const fn is_on(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Reads the files; `None` if none are given. `protocol` is the ALPN name (RFC 7301).
    pub(crate) fn acceptor(&self, protocol: &[u8]) -> Result<Option<TlsAcceptor>, TlsError> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let failed = |flag, file: &Path, what| {
            let file = file.display().to_string();
            move |source| TlsError::File { flag, file, what, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
        let chain = chain.map_err(failed("--tls-cert", certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed("--tls-key", key, "private key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }
}
