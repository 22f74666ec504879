//! Confirmations of addresses. If a key of the account sets an address, the owner of the address has to confirm it.

use api::{request::WrongField, status::refusal};
use crypto::ConfirmationCodes;
use domain::{
    AccountId, Registry,
    registry::{Command, Confirmation, EntityKind, Refusal},
};
use tonic::{Request, Response, Status};

use super::{Answer, RegistryService, lookup::account_of};
use crate::call::caller::Caller;

impl RegistryService {
    pub(super) async fn confirm_email(
        &self,
        caller: Caller,
        request: Request<api::ConfirmEmailRequest>,
    ) -> Answer<api::ConfirmEmailResponse> {
        let request = request.into_inner();
        let content = ConfirmationCodes::new(&self.key).read(request.code.trim());
        let content = content.filter(|(named, _)| *named == request.account_id).ok_or_else(|| {
            let problem = "was cut off, or is not from a mail about this account; copy the whole code from the mail";
            WrongField::new("code", problem)
        });
        let (account, (_, email)) = caller.account_and(&request.account_id, content)?;
        let confirmation = Confirmation::new(account, &email);
        let email = confirmation.email.clone();
        self.changes
            .make(&caller, |registry| {
                let entry = account_of(registry, &confirmation.account)?;
                if entry.is_confirmed(&email) && entry.to_confirm([&email]).is_empty() {
                    let (kind, id) = (EntityKind::Confirmation, email.clone());
                    return Err(refusal(&Refusal::AlreadyExists { kind, id }));
                }
                Ok(Command::ConfirmEmail(confirmation))
            })
            .await?;
        Ok(Response::new(api::ConfirmEmailResponse { email }))
    }
}

/// The addresses of an entity that have to be confirmed after this call. `set` are the addresses that the call sets.
/// They need no confirmation if the caller has a platform key. `kept` are the addresses that the call does not change.
pub(super) fn unconfirmed<'a>(
    caller: &Caller,
    registry: &Registry,
    account: &AccountId,
    set: impl IntoIterator<Item = &'a String>,
    kept: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<String>, Status> {
    let (entry, set) = (account_of(registry, account)?, set.into_iter().collect::<Vec<_>>());
    if caller.principal().account().is_some() {
        return Ok(entry.to_confirm(set.into_iter().chain(kept)));
    }
    let is_set = |email: &String| set.iter().any(|set| set.to_lowercase() == *email);
    Ok(entry.unconfirmed(kept).into_iter().filter(|email| !is_set(email)).collect())
}
