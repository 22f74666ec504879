//! Conversions of accounts, clients, interfaces, API users and opt-outs.

use domain::{
    AccountId, ApiUserId, ClientId, InterfaceId,
    ids::IdError,
    registry::{Account, ApiUser, Client, Interface, Mistakes, OptOut, Refusal, Role, Routing},
    text::quoted,
};

use super::{id, invalid, span};
use crate::{
    duration_to_api,
    primitives::{non_empty, or_empty},
};

/// An account from the API.
///
/// # Errors
/// Every field that cannot be read, and with them those that are invalid.
pub fn account(given: crate::Account) -> Result<Account, Refusal> {
    let mut mistakes = Mistakes::default();
    let unknown = || invalid("routing", format!("{} is neither override nor all", quoted(&given.routing)));
    let routing = mistakes.note(Routing::parse(&given.routing).ok_or_else(unknown));
    let history = given.keep_history.as_ref().map(|history| span("keep_history", history)).transpose();
    let account = Account {
        id: id("account_id", &given.account_id, AccountId::parse)?,
        name: given.name,
        brand: non_empty(&given.brand).map(str::to_owned),
        notification_emails: given.notification_emails,
        api_user_emails: given.api_user_emails,
        routing: routing.unwrap_or_default(),
        keep_history: mistakes.note(history).flatten(),
        unconfirmed: vec![],
        deleted: false,
    };
    mistakes.end_with(|| account.check_fields()).map(|()| account)
}

pub fn account_to_api(account: &Account) -> crate::Account {
    crate::Account {
        account_id: account.id.to_string(),
        name: account.name.clone(),
        brand: or_empty(account.brand.as_deref()),
        notification_emails: account.notification_emails.clone(),
        api_user_emails: account.api_user_emails.clone(),
        routing: account.routing.as_str().to_owned(),
        unconfirmed_emails: vec![],
        keep_history: account.keep_history.map(duration_to_api),
    }
}

/// A client from the API.
///
/// # Errors
/// Every invalid id.
pub fn client(given: crate::Client) -> Result<Client, Refusal> {
    let mut mistakes = Mistakes::default();
    let ids = ids("client_id", &given.account_id, &given.client_id, ClientId::parse, &mut mistakes);
    let Some((account, id)) = ids else { return Err(mistakes.refusal()) };
    Ok(Client { account, id, name: given.name, deleted: false })
}

pub fn client_to_api(client: &Client) -> crate::Client {
    crate::Client {
        account_id: client.account.to_string(),
        client_id: client.id.to_string(),
        name: client.name.clone(),
    }
}

/// An interface from the API.
///
/// # Errors
/// Every field that cannot be read, and with them those that are invalid.
pub fn interface(given: crate::Interface) -> Result<Interface, Refusal> {
    let mut mistakes = Mistakes::default();
    let ids = ids("interface_id", &given.account_id, &given.interface_id, InterfaceId::parse, &mut mistakes);
    let retention = given.retention.as_ref().map(|after| span("retention", after)).transpose();
    let retention = mistakes.note(retention).flatten();
    let Some((account, id)) = ids else { return Err(mistakes.refusal()) };
    let interface = Interface {
        account,
        id,
        name: given.name,
        retention,
        lead_notification_emails: given.lead_notification_emails,
        unconfirmed: vec![],
        deleted: false,
    };
    mistakes.end_with(|| interface.check_fields()).map(|()| interface)
}

pub fn interface_to_api(interface: &Interface) -> crate::Interface {
    crate::Interface {
        account_id: interface.account.to_string(),
        interface_id: interface.id.to_string(),
        name: interface.name.clone(),
        retention: interface.retention.map(duration_to_api),
        lead_notification_emails: interface.lead_notification_emails.clone(),
        unconfirmed_emails: vec![],
    }
}

/// An API user from the API.
///
/// # Errors
/// Every field that cannot be read, and with them those that are invalid.
pub fn api_user(given: crate::ApiUser) -> Result<ApiUser, Refusal> {
    let mut mistakes = Mistakes::default();
    let ids = ids("api_user_id", &given.account_id, &given.api_user_id, ApiUserId::parse, &mut mistakes);
    let unknown = || invalid("role", format!("{} is not viewer, operator or admin", quoted(&given.role)));
    let role = mistakes.note(Role::parse(&given.role).ok_or_else(unknown));
    let Some((account, id)) = ids else { return Err(mistakes.refusal()) };
    let user = ApiUser {
        account,
        id,
        name: given.name,
        email: given.email,
        role: role.unwrap_or(Role::Viewer),
        unconfirmed: vec![],
        deleted: false,
    };
    mistakes.end_with(|| user.check_fields()).map(|()| user)
}

/// The id of an account, and that of something in it. `None` if one of them is invalid.
fn ids<T>(
    field: &'static str,
    account: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
    mistakes: &mut Mistakes,
) -> Option<(AccountId, T)> {
    let account = mistakes.note(id("account_id", account, AccountId::parse));
    let id = mistakes.note(id(field, text, parse));
    account.zip(id)
}

pub fn api_user_to_api(user: &ApiUser) -> crate::ApiUser {
    crate::ApiUser {
        account_id: user.account.to_string(),
        api_user_id: user.id.to_string(),
        name: user.name.clone(),
        email: user.email.clone(),
        role: user.role.as_str().to_owned(),
        unconfirmed_emails: vec![],
    }
}

pub fn opt_out_to_api(opt_out: &OptOut) -> crate::OptOut {
    crate::OptOut {
        account_id: opt_out.account.to_string(),
        opt_out_id: opt_out.id.to_string(),
        email: opt_out.email.clone(),
        kind: opt_out.kind.as_str().to_owned(),
    }
}
