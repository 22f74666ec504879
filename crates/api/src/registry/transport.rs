//! Conversions of a destination's connection settings and OAuth 2.0 client.

use domain::registry::{
    ClientAuthentication, ClientCertificate, CredentialKind, Credentials, DestinationProxy, OAuth2Client, Refusal,
    Transport,
};

use super::fields::invalid;
use crate::primitives::timestamp_to_api;

/// Credentials from the API, not sealed yet.
#[derive(Debug)]
pub struct GivenCredentials {
    pub kind: CredentialKind,
    /// The header that carries them, in lower case.
    pub header: String,
    /// The value to seal: that of the whole header, or the client's secret.
    pub value: String,
    /// The client that requests access tokens.
    pub oauth2: Option<OAuth2Client>,
}

pub(super) fn oauth2(given: crate::OAuth2ClientCredentials) -> Result<GivenCredentials, Refusal> {
    if given.client_secret.is_empty() {
        return Err(invalid("auth.oauth2.client_secret", "is empty"));
    }
    let words = ClientAuthentication::ALL.map(ClientAuthentication::as_str).join(" or ");
    let unknown = || invalid("auth.oauth2.client_authentication", format!("is not {words}"));
    let client = OAuth2Client {
        authentication: ClientAuthentication::parse(&given.client_authentication).ok_or_else(unknown)?,
        token_url: given.token_url,
        client_id: given.client_id,
        scope: given.scope,
        parameters: given.parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect(),
    };
    let (kind, header) = (CredentialKind::OAuth2, "authorization".to_owned());
    Ok(GivenCredentials { kind, header, value: given.client_secret, oauth2: Some(client) })
}

pub(super) fn auth_to_api(credentials: &Credentials) -> crate::Auth {
    let client = |client: &OAuth2Client| crate::OAuth2ClientCredentials {
        token_url: client.token_url.clone(),
        client_id: client.client_id.clone(),
        client_secret: String::new(),
        scope: client.scope.clone(),
        parameters: client.parameters.iter().map(parameter_to_api).collect(),
        client_authentication: client.authentication.as_str().to_owned(),
    };
    crate::Auth {
        kind: None,
        shown_kind: credentials.kind.as_str().to_owned(),
        shown_header: credentials.header.clone(),
        shown_oauth2: credentials.oauth2.as_ref().map(client),
    }
}

fn parameter_to_api((name, value): &(String, String)) -> crate::OAuth2Parameter {
    crate::OAuth2Parameter { name: name.clone(), value: value.clone() }
}

/// A destination that has only these settings, without their sealed values.
pub(super) fn transport_to_api(transport: &Transport) -> crate::Destination {
    let certificate = |own: &ClientCertificate| crate::ClientCertificate {
        certificate_chain: String::new(),
        private_key: String::new(),
        subject: own.subject.clone(),
        not_after: Some(timestamp_to_api(own.not_after)),
    };
    let proxy = |proxy: &DestinationProxy| crate::DestinationProxy {
        url: proxy.url.clone(),
        username: proxy.username.clone(),
        password: String::new(),
        has_password: proxy.password.is_some(),
    };
    crate::Destination {
        client_certificate: transport.client_certificate.as_ref().map(certificate),
        ca_certificates: transport.authorities.clone().unwrap_or_default(),
        proxy: transport.proxy.as_ref().map(proxy),
        ..crate::Destination::default()
    }
}
