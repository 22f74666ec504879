//! Certificates, keys and passwords of destinations: parsed, and sealed before anything is stored.

use std::sync::Arc;

use api::{
    registry::GivenCredentials,
    request::Violations,
    status::{invalid, refusal},
};
use crypto::{ClientIdentity, MasterKey, authorities};
use domain::{
    AccountId, DestinationId, Guard,
    registry::{ClientCertificate, Credentials, Destination, DestinationProxy, ProxyAddress, SealedSecret, Transport},
};
use jiff::Timestamp;
use tonic::Status;
use url::Url;

use crate::call::errors::no_randomness;

/// The longest credentials, in bytes.
const MAX_CREDENTIALS: usize = 4_000;

/// Reads the secrets of a destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing<'a> {
    pub(super) key: &'a MasterKey,
    pub(super) guard: &'a Guard,
    pub(super) account: &'a AccountId,
    pub(super) id: &'a DestinationId,
}

impl Sealing<'_> {
    pub(super) fn credentials(self, auth: api::Auth) -> Result<Option<Credentials>, Status> {
        let given = api::registry::credentials(auth).map_err(|e| refusal(&e))?;
        let Some(GivenCredentials { kind, header, value, oauth2 }) = given else { return Ok(None) };
        one_line("auth", &value, MAX_CREDENTIALS)?;
        if let Some(client) = &oauth2 {
            self.check_url("auth.oauth2.token_url", &client.token_url)?;
        }
        let belongs_to = Destination::belongs_to(self.account, self.id);
        Ok(Some(Credentials { kind, header, sealed: self.seal(&value, &belongs_to)?, oauth2 }))
    }

    /// Reads the connection settings of a destination, and notes wrong fields.
    pub(super) fn transport(self, fields: &mut Violations, given: &api::Destination) -> Option<Transport> {
        let certificate = fields.note(self.client_certificate(given.client_certificate.as_ref()));
        let authorities = fields.note(authorities_of(&given.ca_certificates));
        let proxy = fields.note(self.proxy(given.proxy.as_ref()));
        Some(Transport { client_certificate: certificate?, authorities: authorities?, proxy: proxy? })
    }

    fn client_certificate(self, given: Option<&api::ClientCertificate>) -> Result<Option<ClientCertificate>, Status> {
        const CHAIN: &str = "client_certificate.certificate_chain";
        const KEY: &str = "client_certificate.private_key";
        let Some(given) = given.filter(|given| names_certificate(given)) else { return Ok(None) };
        let chain = checked_length(CHAIN, &given.certificate_chain, Transport::MAX_CERTIFICATES)?;
        let key = checked_length(KEY, &given.private_key, Transport::MAX_KEY)?;
        let identity = ClientIdentity::read(chain, key).map_err(|error| {
            let of_chain = error == crypto::CertificateError::NoCertificate;
            invalid(if of_chain { CHAIN } else { KEY }, error)
        })?;
        let not_after = Timestamp::from_second(identity.not_after).unwrap_or(Timestamp::MAX);
        if not_after <= Timestamp::now() {
            return Err(invalid(CHAIN, format!("the certificate of {} expired at {not_after}", identity.subject)));
        }
        let belongs_to = ClientCertificate::belongs_to(self.account, self.id);
        let key = self.seal(key, &belongs_to)?;
        Ok(Some(ClientCertificate { chain: identity.chain, key, subject: identity.subject, not_after }))
    }

    fn proxy(self, given: Option<&api::DestinationProxy>) -> Result<Option<DestinationProxy>, Status> {
        let Some(given) = given.filter(|given| **given != api::DestinationProxy::default()) else { return Ok(None) };
        one_line("proxy.password", &given.password, Transport::MAX_PROXY_LOGIN)?;
        if let Ok(Ok(address)) = Url::parse(&given.url).map(|url| ProxyAddress::of(&url)) {
            self.guard.check_host(&address.host).map_err(|e| invalid("proxy.url", e))?;
        }
        let belongs_to = DestinationProxy::belongs_to(self.account, self.id);
        let password = Some(&given.password).filter(|password| !password.is_empty());
        let password = password.map(|password| self.seal(password, &belongs_to)).transpose()?;
        Ok(Some(DestinationProxy { url: given.url.clone(), username: given.username.clone(), password }))
    }

    fn check_url(self, field: &str, url: &str) -> Result<(), Status> {
        Url::parse(url).map_or(Ok(()), |url| self.guard.check_literal(&url)).map_err(|e| invalid(field, e))
    }

    fn seal(self, secret: &str, belongs_to: &str) -> Result<SealedSecret, Status> {
        self.key.seal_bytes(secret.as_bytes(), belongs_to).map(SealedSecret).map_err(|e| no_randomness(&e))
    }
}

/// The secrets that an update keeps. Answers contain no secrets, so a caller that sends an answer back does not mean to
/// remove them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    credentials: bool,
    certificate: bool,
}

impl Kept {
    /// `whole` is true if the update sets all fields.
    pub(super) fn of(update: &api::Destination, whole: bool) -> Self {
        let (auth, certificate) = (update.auth.as_ref(), update.client_certificate.as_ref());
        let gives_auth = auth.is_some_and(|auth| auth.kind.is_some());
        let gives_certificate = certificate.is_some_and(names_certificate);
        let shows_auth = auth.is_some_and(|auth| !auth.shown_kind.is_empty());
        let shows_certificate = certificate.is_some_and(|certificate| !certificate.subject.is_empty());
        Self {
            credentials: !gives_auth && (whole || shows_auth),
            certificate: !gives_certificate && (whole || shows_certificate),
        }
    }

    pub(super) const fn credentials(self) -> bool {
        self.credentials
    }

    pub(super) const fn certificate(self) -> bool {
        self.certificate
    }

    /// Adds the kept secrets of the current destination.
    pub(super) fn add(self, now: &Destination, new: &mut Destination) {
        if self.credentials {
            new.request.credentials = now.request.credentials.clone();
        }
        let transport = Arc::make_mut(&mut new.transport);
        if self.certificate {
            transport.client_certificate = now.transport.client_certificate.clone();
        }
        if let (Some(now), Some(new)) = (&now.transport.proxy, &mut transport.proxy)
            && (&now.url, &now.username, &None) == (&new.url, &new.username, &new.password)
        {
            new.password = now.password.clone();
        }
    }
}

fn names_certificate(given: &api::ClientCertificate) -> bool {
    !given.certificate_chain.is_empty() || !given.private_key.is_empty()
}

fn authorities_of(given: &str) -> Result<Option<String>, Status> {
    const FIELD: &str = "ca_certificates";
    match given.trim() {
        "" => Ok(None),
        pem => {
            let pem = checked_length(FIELD, pem, Transport::MAX_CERTIFICATES)?;
            authorities(pem).map(|(pem, _)| Some(pem)).map_err(|e| invalid(FIELD, e))
        }
    }
}

fn checked_length<'a>(field: &str, text: &'a str, longest: usize) -> Result<&'a str, Status> {
    if text.len() > longest { Err(invalid(field, format!("is longer than {longest} bytes"))) } else { Ok(text) }
}

fn one_line(field: &str, text: &str, longest: usize) -> Result<(), Status> {
    if text.len() > longest || text.chars().any(char::is_control) {
        return Err(invalid(field, format!("has to be one line of at most {longest} bytes")));
    }
    Ok(())
}
