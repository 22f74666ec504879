//! The stored connection settings of a destination, and its OAuth 2.0 client.

use domain::registry::{
    ClientAuthentication, ClientCertificate, DestinationProxy, OAuth2Client, SealedSecret, Transport,
};

use super::fields::{FACT, header_to_stored};
use crate::{
    primitives::{time, wrong},
    record::RecordError,
    stored,
};

/// A destination with these settings only.
pub(super) fn transport_to_stored(transport: &Transport) -> stored::Destination {
    let certificate = |own: &ClientCertificate| stored::ClientCertificate {
        chain: own.chain.clone(),
        sealed_key: own.key.0.clone(),
        subject: own.subject.clone(),
        not_after: own.not_after.as_microsecond(),
    };
    let proxy = |proxy: &DestinationProxy| stored::Proxy {
        url: proxy.url.clone(),
        username: proxy.username.clone(),
        sealed_password: proxy.password.as_ref().map(|password| password.0.clone()).unwrap_or_default(),
    };
    stored::Destination {
        client_certificate: transport.client_certificate.as_ref().map(certificate),
        authorities: transport.authorities.clone().unwrap_or_default(),
        proxy: transport.proxy.as_ref().map(proxy),
        ..stored::Destination::default()
    }
}

pub(super) fn transport_from_stored(stored: &mut stored::Destination) -> Result<Transport, RecordError> {
    let certificate = |own: stored::ClientCertificate| {
        Ok::<_, RecordError>(ClientCertificate {
            chain: own.chain,
            key: SealedSecret(own.sealed_key),
            subject: own.subject,
            not_after: time(FACT, "not_after", own.not_after)?,
        })
    };
    let proxy = |proxy: stored::Proxy| DestinationProxy {
        url: proxy.url,
        username: proxy.username,
        password: Some(proxy.sealed_password).filter(|sealed| !sealed.is_empty()).map(SealedSecret),
    };
    Ok(Transport {
        client_certificate: stored.client_certificate.take().map(certificate).transpose()?,
        authorities: Some(std::mem::take(&mut stored.authorities)).filter(|pem| !pem.is_empty()),
        proxy: stored.proxy.take().map(proxy),
    })
}

pub(super) fn oauth2_to_stored(client: &OAuth2Client) -> stored::OAuth2Client {
    stored::OAuth2Client {
        token_url: client.token_url.clone(),
        client_id: client.client_id.clone(),
        scope: client.scope.clone(),
        parameters: client.parameters.iter().map(header_to_stored).collect(),
        authentication: client.authentication.as_str().to_owned(),
    }
}

pub(super) fn oauth2_from_stored(stored: stored::OAuth2Client) -> Result<OAuth2Client, RecordError> {
    let unknown = || wrong(FACT, "oauth2", format!("{:?} is not a way to authenticate", stored.authentication));
    Ok(OAuth2Client {
        authentication: ClientAuthentication::parse(&stored.authentication).ok_or_else(unknown)?,
        token_url: stored.token_url,
        client_id: stored.client_id,
        scope: stored.scope,
        parameters: stored.parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect(),
    })
}
