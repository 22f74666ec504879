//! Resolves shortened ids, and checks that the names in a filter exist.

use api::status::not_found;
use tonic::{Code, Status};

use crate::{
    remote::session::{Session, within},
    terminal::errors::usage,
};

/// The minimum length of a shortened id: four characters for the kind (`dst_`, `tok_`), and four more.
const MIN_BEGINNING: usize = 8;
/// The minimum length of a shortened id without a kind.
const MIN_KEY_BEGINNING: usize = 4;
/// The page size of keys.
const PAGE_SIZE: u32 = 200;
/// Interfaces that every account has: those of tests and of events about Leadline's own work.
const RESERVED: [&str; 2] = ["webhook-test", "webhook-events"];

/// The names in a filter.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    /// Empty if the filter names no account. The other names are then checked only if there is exactly one account.
    pub(crate) account: &'a str,
    pub(crate) interface: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    pub(crate) lead: Option<&'a str>,
    /// The id of the destination.
    pub(crate) destination: Option<&'a str>,
    pub(crate) event: Option<&'a str>,
}

impl Names<'_> {
    /// Fails if one of the names does not exist.
    pub(crate) async fn check(&self, session: &Session) -> anyhow::Result<()> {
        if !self.account.is_empty() {
            return self.check_in_account(session).await;
        }
        let names = [self.interface, self.client, self.lead, self.destination, self.event];
        if names.iter().all(|name| name.is_none()) {
            return Ok(());
        }
        match session.only_account().await? {
            Some(account) => Names { account: &account, ..*self }.check_in_account(session).await,
            None => Ok(()),
        }
    }

    async fn check_in_account(&self, session: &Session) -> anyhow::Result<()> {
        let account_id = || self.account.to_owned();
        known(session.registry().get_account(within(api::GetAccountRequest { account_id: account_id() })).await)?;
        if let Some(id) = self.interface.filter(|id| !RESERVED.contains(id)) {
            let request = api::GetInterfaceRequest { account_id: account_id(), interface_id: id.to_owned() };
            known(session.registry().get_interface(within(request)).await)?;
        }
        if let Some(id) = self.client {
            let request = api::GetClientRequest { account_id: account_id(), client_id: id.to_owned() };
            known(session.registry().get_client(within(request)).await)?;
        }
        if let Some(id) = self.lead {
            let request = api::GetLeadRequest { account_id: account_id(), lead_id: id.to_owned() };
            known(session.leads().get_lead(within(request)).await)?;
        }
        if let Some(id) = self.destination {
            self.check_destination(session, id).await?;
        }
        match self.event {
            Some(id) => self.check_event(session, id).await,
            None => Ok(()),
        }
    }

    /// Checks that a destination exists. A deleted destination is found by its attempts.
    async fn check_destination(&self, session: &Session, id: &str) -> anyhow::Result<()> {
        let (account_id, destination_id) = (self.account.to_owned(), id.to_owned());
        let request = api::GetDestinationRequest { account_id, destination_id };
        let Err(missing) = session.registry().get_destination(within(request.clone())).await else { return Ok(()) };
        let api::GetDestinationRequest { account_id, destination_id } = request;
        let attempts = api::ListDestinationEventsRequest { account_id, destination_id, limit: 1, ..Default::default() };
        known(session.deliveries().list_destination_events(within(attempts)).await).map_err(|_| missing.into())
    }

    /// Checks that an event exists. `ExplainRouting` shows this without reading the payload. It needs a destination,
    /// and any destination will do. Without one, nothing is checked.
    async fn check_event(&self, session: &Session, id: &str) -> anyhow::Result<()> {
        let account_id = self.account.to_owned();
        let destination_id = match self.destination {
            Some(named) => named.to_owned(),
            None => {
                let request =
                    api::ListDestinationsRequest { account_id: account_id.clone(), page_size: 1, ..Default::default() };
                let some = session.registry().list_destinations(within(request)).await?.into_inner().destinations;
                match some.into_iter().next() {
                    Some(some) => some.destination_id,
                    None => return Ok(()),
                }
            }
        };
        let request =
            api::ExplainRoutingRequest { account_id, destination_id, event_id: id.to_owned(), lead_id: String::new() };
        Ok(known(session.routing().explain_routing(within(request)).await)?)
    }
}

impl Session {
    /// The only destination of the account whose id begins with this text.
    pub(crate) async fn destination_beginning(
        &self,
        account: &str,
        beginning: &str,
    ) -> anyhow::Result<api::Destination> {
        let all = if beginning.len() < MIN_BEGINNING { vec![] } else { self.destinations_called(account, "").await? };
        let found = only_beginning("destinations", beginning, all, |one| &one.destination_id)?;
        Ok(found
            .ok_or_else(|| not_found("DESTINATION", format!("account {account} has no destination {beginning}")))?)
    }

    /// The id of a token; a person may give only its beginning.
    pub(crate) async fn token_id(&self, account: &str, given: &str) -> anyhow::Result<String> {
        let request = api::GetTokenRequest { account_id: account.to_owned(), token_id: given.to_owned() };
        let missing = match self.registry().get_token(within(request)).await {
            Ok(found) => return Ok(found.into_inner().token_id),
            Err(status) if status.code() == Code::NotFound && given.len() >= MIN_BEGINNING => status,
            Err(status) => return Err(status.into()),
        };
        let (mut all, mut page_token) = (vec![], String::new());
        loop {
            let request = api::ListTokensRequest { account_id: account.to_owned(), page_size: 0, page_token };
            let page = self.registry().list_tokens(within(request)).await?.into_inner();
            all.extend(page.tokens);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(only_beginning("tokens", given, all, |token| &token.token_id)?.ok_or(missing)?.token_id)
    }

    /// The id of the only key whose id begins with this text; `None` if none does.
    pub(crate) async fn key_beginning(&self, beginning: &str) -> anyhow::Result<Option<String>> {
        if beginning.len() < MIN_KEY_BEGINNING {
            return Ok(None);
        }
        let (mut all, mut page_token) = (vec![], String::new());
        loop {
            let request = api::ListKeysRequest { page_size: PAGE_SIZE, page_token, ..api::ListKeysRequest::default() };
            let page = self.access().list_keys(within(request)).await?.into_inner();
            all.extend(page.keys);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(only_beginning("keys", beginning, all, |key| &key.key_id)?.map(|key| key.key_id))
    }
}

/// Fails if a look-up failed. A key of a client may not look up everything, so a denied call is no failure.
fn known<T>(answer: Result<T, Status>) -> Result<(), Status> {
    match answer {
        Err(status) if status.code() != Code::PermissionDenied => Err(status),
        _ => Ok(()),
    }
}

/// The only element whose id begins with this text; `None` if there is none. Fails if there are several.
fn only_beginning<T>(
    kind: &str,
    beginning: &str,
    all: Vec<T>,
    id: impl Fn(&T) -> &String,
) -> anyhow::Result<Option<T>> {
    let mut found: Vec<T> = all.into_iter().filter(|one| id(one).starts_with(beginning)).collect();
    if let [one, other, ..] = found.as_slice() {
        let (one, other) = (id(one), id(other));
        return Err(usage(format!("several {kind} begin with {beginning}: {one}, {other}, …; give more characters")));
    }
    Ok(found.pop())
}
