//! The sealed secrets that requests need. Only the master key opens them.

use jiff::Timestamp;

use crate::registry::{
    entities::{
        destination::{Destination, Token},
        secret::SealedSecret,
    },
    request::transport::{ClientCertificate, DestinationProxy},
    state::fold::Registry,
};

/// A sealed secret, and the context that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The owner of the secret, for messages.
    pub of: String,
    pub secret: &'a SealedSecret,
    /// The context that the secret is bound to.
    pub belongs_to: String,
}

impl Registry {
    /// Every secret that requests may need at this time.
    pub fn sealed_secrets(&self, now: Timestamp) -> Vec<Sealed<'_>> {
        self.accounts()
            .flat_map(|account| {
                let tokens = account.tokens().filter(|token| !token.deleted);
                let destinations = account.destinations().filter(|destination| !destination.deleted);
                tokens
                    .flat_map(|token| of_token(token, now))
                    .chain(destinations.flat_map(|destination| of_destination(destination)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The secrets that requests of a destination need at this time.
    pub fn sealed_secrets_of<'a>(&'a self, destination: &'a Destination, now: Timestamp) -> Vec<Sealed<'a>> {
        let token = destination.token.as_ref().and_then(|id| self.token(&destination.account, id));
        token.into_iter().flat_map(|token| of_token(token, now)).chain(of_destination(destination)).collect()
    }
}

fn of_token(token: &Token, now: Timestamp) -> impl Iterator<Item = Sealed<'_>> {
    let belongs_to = Token::belongs_to(&token.account, &token.id);
    token.valid_secrets(now).map(move |secret| Sealed {
        of: format!("token {} of account {}", token.id, token.account),
        secret: &secret.sealed,
        belongs_to: belongs_to.clone(),
    })
}

fn of_destination(destination: &Destination) -> impl Iterator<Item = Sealed<'_>> {
    let (account, id, transport) = (&destination.account, &destination.id, &destination.transport);
    let credentials = destination.request.credentials.as_ref().map(|credentials| &credentials.sealed);
    let key = transport.client_certificate.as_ref().map(|certificate| &certificate.key);
    let password = transport.proxy.as_ref().and_then(|proxy| proxy.password.as_ref());
    let secrets = [
        ("credentials", credentials, Destination::belongs_to(account, id)),
        ("key of the client certificate", key, ClientCertificate::belongs_to(account, id)),
        ("password of the proxy", password, DestinationProxy::belongs_to(account, id)),
    ];
    secrets.into_iter().filter_map(move |(what, secret, belongs_to)| {
        let of = || format!("{what} of destination {id} of account {account}");
        secret.map(|secret| Sealed { of: of(), secret, belongs_to })
    })
}
