//! Certificates for receivers and other servers: good ones, and bad ones of each kind.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// An authority that only tests trust.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
    folder: TempDir,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![]).expect("an empty list of names is valid");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let own = params.self_signed(&key).expect("an authority signs itself");
        let folder = tempfile::tempdir().expect("a folder for the authority");
        let file = folder.path().join("ca.pem");
        fs::write(&file, own.pem()).expect("the authority can be written");
        Self { issuer: Issuer::new(params, key), file, folder }
    }
}

impl Authority {
    /// Its certificate, as a file in PEM.
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// Creates a certificate for these hosts, as files.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn files_for(&self, hosts: &[&str]) -> CertificateFiles {
        let key = KeyPair::generate().expect("a key can be made");
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let name = hosts.join("_").replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let params = CertificateParams::new(hosts).expect("the names of a test are valid");
        let signed = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}.pem"));
        let files = CertificateFiles { certificate: file("certificate"), key: file("key") };
        fs::write(&files.certificate, signed.pem()).expect("the certificate can be written");
        fs::write(&files.key, key.serialize_pem()).expect("the key can be written");
        files
    }

    /// Its certificate in PEM.
    ///
    /// # Panics
    /// If the file is gone.
    pub fn pem(&self) -> String {
        fs::read_to_string(&self.file).expect("the authority can be read")
    }

    /// Creates a client certificate for this name that expires at the beginning of a year: certificate and key in PEM.
    pub fn client(&self, name: &str, until: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![]).expect("an empty list of names is valid");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        (signed.pem(), key.serialize_pem())
    }

    /// Creates a client certificate for this name, as files.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn client_files(&self, name: &str) -> CertificateFiles {
        const EXPIRY: i32 = 2100;
        let (certificate, key) = self.client(name, EXPIRY);
        let file = |end: &str| self.folder.path().join(format!("client.{end}.pem"));
        let files = CertificateFiles { certificate: file("certificate"), key: file("key") };
        fs::write(&files.certificate, certificate).expect("the certificate can be written");
        fs::write(&files.key, key).expect("the key can be written");
        files
    }

    /// Creates a certificate for this host.
    pub fn certificate_for(&self, host: &str) -> Certificate {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("the name of a test is valid");
        let signed = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        Certificate { chain: vec![signed.der().clone()], key: key.serialize_der() }
    }
}

/// A certificate with its key, as files in PEM. They live as long as their authority.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Their names: certificate and key.
    pub fn names(&self) -> (&str, &str) {
        (self.certificate.to_str().unwrap_or_default(), self.key.to_str().unwrap_or_default())
    }

    /// Overwrites other files with these.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn copy_to(&self, others: &Self) {
        fs::copy(&self.certificate, &others.certificate).expect("the certificate can be replaced");
        fs::copy(&self.key, &others.key).expect("the key can be replaced");
    }
}

impl Certificate {
    pub fn self_signed(host: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("the name of a test is valid");
        let signed = params.self_signed(&key).expect("a certificate can sign itself");
        Self { chain: vec![signed.der().clone()], key: key.serialize_der() }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_for(&[])
    }

    /// An acceptor that requires a client certificate of this authority.
    pub(crate) fn acceptor_asking(&self, clients: &Authority, protocols: &[&[u8]]) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(clients.file()).expect("an authority has a certificate");
        roots.add(authority).expect("the authority is valid");
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the usual versions of TLS")
            .with_client_cert_verifier(verifier.build().expect("there is an authority"))
            .with_single_cert(self.chain.clone(), key)
            .expect("a certificate fits its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// An acceptor that negotiates one of these protocols (ALPN).
    pub(crate) fn acceptor_for(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the usual versions of TLS")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .expect("a certificate fits its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[cfg(test)]
mod tests;
