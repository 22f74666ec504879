//! Certificates in PEM (RFC 7468): the client certificate of a destination, and the authorities that it trusts.
//!
//! Certificates are parsed, and encoded again before they are stored. A file often contains the private key as well,
//! and only the certificates may be stored.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::{CertifiedKey, SigningKey},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// The length of a line of PEM (RFC 7468, 2).
const PEM_LINE: usize = 64;

/// The certificates and the key of a TLS client.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The parsed certificates, encoded again; the client certificate comes first.
    pub chain: String,
    /// The subject of the client's own certificate (RFC 4514).
    pub subject: String,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
    /// The certificates and the key in the form that a handshake needs.
    pub certified: Arc<CertifiedKey>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why certificates or keys cannot be used. The texts are worded to follow the name of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate, or one is damaged.
    #[error("holds no certificate in PEM (-----BEGIN CERTIFICATE-----), or a damaged one")]
    NoCertificate,
    /// A certificate cannot be used as an authority.
    #[error("certificate {0} cannot be used as an authority: {1}")]
    NoAuthority(usize, String),
    /// There is no private key.
    #[error("holds no private key in PEM (-----BEGIN PRIVATE KEY-----), or a damaged one")]
    NoKey,
    /// The private key needs a password.
    #[error("is encrypted; give it without its password (openssl pkey -in key.pem)")]
    EncryptedKey,
    /// The private key is of an unknown kind.
    #[error("is of a kind that is not supported; use RSA of at least 2048 bits, ECDSA on P-256 or P-384, or Ed25519")]
    UnknownKey,
    /// The private key is that of another certificate.
    #[error("does not belong to the first certificate of the chain")]
    OtherKey,
}

impl ClientIdentity {
    /// Reads certificates and the private key of the first one.
    ///
    /// # Errors
    /// When one of the two is damaged or missing, or they do not belong together.
    pub fn read(chain: &str, key: &str) -> Result<Self, CertificateError> {
        let certificates = certificates(chain)?;
        let own = certificates.first().ok_or(CertificateError::NoCertificate)?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|_| CertificateError::NoCertificate)?;
        let key = signing_key(key)?;
        // Only the bits of the two keys are compared, because the names of their algorithms may differ.
        let public_key = key.public_key().ok_or(CertificateError::UnknownKey)?;
        if !public_key.ends_with(&parsed.public_key().subject_public_key.data) {
            return Err(CertificateError::OtherKey);
        }
        Ok(Self {
            chain: to_pem(&certificates),
            subject: parsed.subject().to_string(),
            not_after: parsed.validity().not_after.timestamp(),
            certified: Arc::new(CertifiedKey::new(certificates, key)),
        })
    }
}

/// The certificates of authorities, encoded again, and a root store that trusts only these.
///
/// # Errors
/// When there is no certificate, or one is damaged.
pub fn authorities(pem: &str) -> Result<(String, RootCertStore), CertificateError> {
    let certificates = certificates(pem)?;
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(&certificates) {
        let refused = |error: rustls::Error| CertificateError::NoAuthority(number, error.to_string());
        roots.add(certificate.clone()).map_err(refused)?;
    }
    Ok((to_pem(&certificates), roots))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    read.ok().filter(|found| !found.is_empty()).ok_or(CertificateError::NoCertificate)
}

fn signing_key(pem: &str) -> Result<Arc<dyn SigningKey>, CertificateError> {
    if pem.contains("ENCRYPTED") {
        return Err(CertificateError::EncryptedKey);
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_: pem::Error| CertificateError::NoKey)?;
    ring::default_provider().key_provider.load_private_key(key).map_err(|_| CertificateError::UnknownKey)
}

fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    let mut pem = String::new();
    for certificate in certificates {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = STANDARD.encode(certificate);
        // Base64 is ASCII, so each chunk is text.
        for line in text.as_bytes().chunks(PEM_LINE) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

    use super::*;

    fn made(name: &str, is_ca: bool) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        (params.self_signed(&key).unwrap().pem(), key)
    }

    #[test]
    fn an_identity_is_a_certificate_with_its_own_key() {
        let (certificate, key) = made("leadline at acme", false);
        let (_, other) = made("another client", false);
        let identity = ClientIdentity::read(&certificate, &key.serialize_pem()).unwrap();
        assert!(identity.subject.contains("CN=leadline at acme"), "{}", identity.subject);
        assert_eq!(identity.not_after, 1_927_843_200);
        let refused = |chain: &str, key: &str| ClientIdentity::read(chain, key).unwrap_err();
        assert_eq!(refused(&certificate, &other.serialize_pem()), CertificateError::OtherKey);
        assert_eq!(refused(&certificate, "nothing"), CertificateError::NoKey);
        assert_eq!(refused(&certificate, &certificate), CertificateError::NoKey);
        let encrypted = key.serialize_pem().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert_eq!(refused(&certificate, &encrypted), CertificateError::EncryptedKey);
        for rubbish in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x"] {
            assert_eq!(refused(rubbish, &key.serialize_pem()), CertificateError::NoCertificate, "{rubbish}");
        }
    }

    #[test]
    fn a_key_in_the_file_of_certificates_is_not_kept() {
        let (certificate, key) = made("an authority", true);
        let file = format!("# by hand\n{}{certificate}", key.serialize_pem());
        let (kept, roots) = authorities(&file).unwrap();
        assert_eq!((kept.replace('\r', ""), roots.len()), (certificate.replace('\r', ""), 1));
        let chain = ClientIdentity::read(&file, &key.serialize_pem()).unwrap().chain;
        assert!(!chain.contains("PRIVATE") && !kept.contains("by hand"), "{chain}");
    }

    #[test]
    fn the_error_has_the_number_of_a_damaged_authority() {
        let (good, _) = made("an authority", true);
        let bad = to_pem(&[CertificateDer::from(vec![0x30, 3, 1, 1, 0])]);
        assert!(matches!(authorities(&format!("{good}{bad}")), Err(CertificateError::NoAuthority(2, _))));
        assert_eq!(authorities("").unwrap_err(), CertificateError::NoCertificate);
    }
}
