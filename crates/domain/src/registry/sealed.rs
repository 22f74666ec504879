//! The secrets of the configuration that only the master key opens.

use jiff::Timestamp;

use super::{
    model::{Destination, SealedSecret, Token},
    state::Registry,
};

/// A sealed secret, and what it is sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Whose it is, for people.
    pub of: String,
    /// The secret.
    pub secret: &'a SealedSecret,
    /// What it is bound to.
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
                    .chain(destinations.filter_map(|destination| credentials(destination)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The secrets that requests of a destination need at this time.
    pub fn sealed_secrets_of<'a>(&'a self, destination: &'a Destination, now: Timestamp) -> Vec<Sealed<'a>> {
        let token = destination.token.as_ref().and_then(|id| self.token(&destination.account, id));
        token.into_iter().flat_map(|token| of_token(token, now)).chain(credentials(destination)).collect()
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

fn credentials(destination: &Destination) -> Option<Sealed<'_>> {
    let credentials = destination.request.credentials.as_ref()?;
    Some(Sealed {
        of: format!("credentials of destination {} of account {}", destination.id, destination.account),
        secret: &credentials.sealed,
        belongs_to: Destination::belongs_to(&destination.account, &destination.id),
    })
}
