//! ID tokens (OpenID Connect Core 1.0, 3.1.3.7): who has logged in, signed by the provider.
//!
//! `jsonwebtoken` reads tokens and keys and checks times, issuer and audience; `ring`, which the process has anyway,
//! checks the signatures. Symmetric algorithms and `none` are refused.

use std::fmt;

use domain::access::Person;
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind, Result, new_error},
    jwk::{Jwk, PublicKeyUse},
    signature::{self, Verifier},
};
use ring::signature::{self as ring_signature, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far the clocks of the provider and of this machine may differ, in seconds.
const LEEWAY: u64 = 60;
/// The maximum length of a subject, in bytes (OpenID Connect Core 1.0, 2).
const MAX_SUBJECT: usize = 255;
/// The maximum length of the name of a person, in characters.
const MAX_NAME: usize = 100;
/// The maximum number of groups that are checked.
const MAX_GROUPS: usize = 10_000;

/// The values that an ID token has to have.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// The claims of an ID token about a person.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    email: Option<String>,
    /// Some providers write it as a text.
    email_verified: Option<Value>,
    preferred_username: Option<String>,
    name: Option<String>,
    #[serde(flatten)]
    further: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn is_of(&self, client_id: &str) -> bool {
        match self {
            Self::One(one) => one == client_id,
            Self::Many(all) => all.iter().all(|one| one == client_id),
        }
    }
}

/// Why an ID token is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoToken {
    /// The provider may have replaced its keys after they were read.
    #[error("none of the keys of the provider has signed it")]
    Key,
    #[error("{0}")]
    Refused(String),
}

/// Checks an ID token with these keys.
pub(super) fn check(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> std::result::Result<Claims, NoToken> {
    // The first call installs the provider; later calls fail, which is harmless.
    let _ = RING.install_default();
    let refused = |error: &Error| NoToken::Refused(words(error));
    let header = jsonwebtoken::decode_header(token).map_err(|error| refused(&error))?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    let is_candidate = |key: &&Jwk| {
        let is_named = header.kid.is_none() || key.common.key_id == header.kid;
        is_named && !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption))
    };
    for key in keys.iter().filter(is_candidate) {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match jsonwebtoken::decode::<Claims>(token, &key, &validation) {
            Ok(decoded) => return decoded.claims.checked(expected),
            Err(error) if is_of_key(&error) => {}
            Err(error) => return Err(refused(&error)),
        }
    }
    Err(NoToken::Key)
}

fn is_of_key(error: &Error) -> bool {
    use ErrorKind::{InvalidAlgorithm, InvalidKeyFormat, InvalidSignature};
    matches!(error.kind(), InvalidSignature | InvalidAlgorithm | InvalidKeyFormat)
}

fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired; compare the clocks of the two machines".into(),
        ErrorKind::ImmatureSignature => "it is not valid yet; compare the clocks of the two machines".into(),
        ErrorKind::InvalidIssuer => "it is of another issuer".into(),
        ErrorKind::InvalidAudience => "it is for another client".into(),
        ErrorKind::UnsupportedAlgorithm => "its algorithm is not supported".into(),
        _ => error.to_string(),
    }
}

impl Claims {
    /// Checks the claims that only ID tokens have, and the subject.
    fn checked(self, expected: &Expected<'_>) -> std::result::Result<Self, NoToken> {
        let refused = |why: &str| Err(NoToken::Refused(why.into()));
        if self.nonce.as_deref() != Some(expected.nonce) {
            return refused("its nonce is that of another log-in");
        }
        match &self.azp {
            Some(party) if party != expected.client_id => return refused("it was issued to another client"),
            None if !self.aud.is_of(expected.client_id) => {
                return refused("it is for several clients and does not say to whom it was issued");
            }
            _ => {}
        }
        let is_good = !self.sub.is_empty() && self.sub.len() <= MAX_SUBJECT && !self.sub.chars().any(char::is_control);
        if is_good { Ok(self) } else { refused("its subject is not a line of 1 to 255 bytes") }
    }

    /// The groups that a claim lists.
    pub(super) fn groups(&self, claim: &str) -> Vec<String> {
        match self.further.get(claim) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => {
                all.iter().take(MAX_GROUPS).filter_map(|group| group.as_str().map(str::to_owned)).collect()
            }
            _ => vec![],
        }
    }

    /// The person, with those of their groups that have rights.
    pub(super) fn person(self, issuer: &str, groups: Vec<String>) -> Person {
        let is_unverified = matches!(&self.email_verified, Some(Value::Bool(false)))
            || self.email_verified.as_ref().and_then(Value::as_str) == Some("false");
        let email = self.email.filter(|email| !email.is_empty() && !is_unverified);
        let name = email.or(self.preferred_username).or(self.name).unwrap_or_default();
        let name = name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect();
        Person { issuer: issuer.to_owned(), subject: self.sub, name, groups }
    }
}

/// Signatures, checked by ring.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    // Only thumbprints and conversions of private keys need these.
    key_utils: KeyUtils::new_unimplemented(),
};

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    let checking = match (algorithm, key.kind()) {
        (Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512, _) => {
            return Err(new_error(ErrorKind::UnsupportedAlgorithm));
        }
        (_, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Checking::Rsa(*algorithm, RsaPublicKeyComponents { n: without_zeros(n), e: without_zeros(e) })
        }
        (_, DecodingKeyKind::SecretOrDer(bytes)) => Checking::Curve(*algorithm, bytes.clone()),
    };
    Ok(Box::new(checking))
}

/// ring accepts only numbers without leading zeros.
fn without_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

enum Checking {
    Rsa(Algorithm, RsaPublicKeyComponents<Vec<u8>>),
    Curve(Algorithm, Vec<u8>),
}

impl fmt::Debug for Checking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checking({:?})", self.algorithm())
    }
}

impl JwtVerifier for Checking {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(algorithm, _) | Self::Curve(algorithm, _) => *algorithm,
        }
    }
}

impl Verifier<Vec<u8>> for Checking {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let is_good = match self {
            Self::Rsa(algorithm, key) => {
                let parameters = match algorithm {
                    Algorithm::RS256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::PS256 => &ring_signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::PS384 => &ring_signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::PS512 => &ring_signature::RSA_PSS_2048_8192_SHA512,
                    _ => return Err(signature::Error::new()),
                };
                key.verify(parameters, message, given).is_ok()
            }
            Self::Curve(algorithm, key) => {
                let parameters: &dyn ring_signature::VerificationAlgorithm = match algorithm {
                    Algorithm::ES256 => &ring_signature::ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &ring_signature::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDSA => &ring_signature::ED25519,
                    _ => return Err(signature::Error::new()),
                };
                UnparsedPublicKey::new(parameters, key).verify(message, given).is_ok()
            }
        };
        if is_good { Ok(()) } else { Err(signature::Error::new()) }
    }
}
