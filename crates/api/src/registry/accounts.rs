//! Conversions of accounts, clients, interfaces, API users and opt-outs.

use domain::{
    AccountId, ApiUserId, ClientId, InterfaceId,
    ids::IdError,
    registry::{
        Account, ApiUser, Client, Color, Interface, Logo, Mistakes, NoPortal, OptOut, Portal, Refusal, Role, Routing,
    },
    search::{self, FieldName, FieldPath, Kind, SearchField},
    text::quoted,
};

use super::fields::{invalid, span};
use crate::{
    primitives::{duration_to_api, non_empty, or_empty},
    request::required,
};

/// An account from the API.
///
/// # Errors
/// Every field that cannot be read or is invalid.
pub fn account(given: crate::Account) -> Result<Account, Refusal> {
    let mut mistakes = Mistakes::default();
    let unknown = || invalid("routing", format!("{} is neither override nor all", quoted(&given.routing)));
    let routing = mistakes.note(Routing::parse(&given.routing).ok_or_else(unknown));
    let id = mistakes.note(required("account_id", &given.account_id, AccountId::parse));
    let history = given.keep_history.as_ref().map(|history| span("keep_history", history)).transpose();
    let portal = Portal {
        color: mistakes.note(non_empty(&given.portal_color).map(color).transpose()).flatten(),
        logo: mistakes.note((!given.portal_logo.is_empty()).then(|| logo(&given.portal_logo)).transpose()).flatten(),
    };
    let keep_history = mistakes.note(history).flatten();
    let Some(id) = id else { return Err(mistakes.refusal()) };
    let account = Account {
        id,
        name: given.name,
        brand: non_empty(&given.brand).map(str::to_owned),
        notification_emails: given.notification_emails,
        api_user_emails: given.api_user_emails,
        routing: routing.unwrap_or_default(),
        keep_history,
        portal,
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
        portal_color: account.portal.color.map(|color| color.to_string()).unwrap_or_default(),
        portal_logo: account.portal.logo.as_ref().map(|logo| logo.bytes().to_vec()).unwrap_or_default(),
    }
}

fn color(text: &str) -> Result<Color, Refusal> {
    text.parse().map_err(|problem: NoPortal| invalid("portal_color", format!("{} {problem}", quoted(text))))
}

fn logo(bytes: &[u8]) -> Result<Logo, Refusal> {
    Logo::parse(bytes).map_err(|problem| invalid("portal_logo", problem.to_string()))
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
/// Every field that cannot be read or is invalid.
pub fn interface(given: crate::Interface) -> Result<Interface, Refusal> {
    let mut mistakes = Mistakes::default();
    let ids = ids("interface_id", &given.account_id, &given.interface_id, InterfaceId::parse, &mut mistakes);
    let retention = given.retention.as_ref().map(|after| span("retention", after)).transpose();
    let retention = mistakes.note(retention).flatten();
    let searchable = searchable(&given.searchable_fields, &mut mistakes);
    let Some((account, id)) = ids else { return Err(mistakes.refusal()) };
    let interface = Interface {
        account,
        id,
        name: given.name,
        retention,
        lead_notification_emails: given.lead_notification_emails,
        searchable,
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
        searchable_fields: interface.searchable.iter().map(field_to_api).collect(),
        warnings: vec![],
    }
}

/// The names of the parts of a searchable field in errors of the API.
#[rustfmt::skip]
const PARTS: [[&str; 3]; search::MAX_FIELDS] = [
    ["searchable_fields[0].name", "searchable_fields[0].path", "searchable_fields[0].kind"],
    ["searchable_fields[1].name", "searchable_fields[1].path", "searchable_fields[1].kind"],
    ["searchable_fields[2].name", "searchable_fields[2].path", "searchable_fields[2].kind"],
    ["searchable_fields[3].name", "searchable_fields[3].path", "searchable_fields[3].kind"],
    ["searchable_fields[4].name", "searchable_fields[4].path", "searchable_fields[4].kind"],
    ["searchable_fields[5].name", "searchable_fields[5].path", "searchable_fields[5].kind"],
    ["searchable_fields[6].name", "searchable_fields[6].path", "searchable_fields[6].kind"],
    ["searchable_fields[7].name", "searchable_fields[7].path", "searchable_fields[7].kind"],
];

/// The searchable fields that can be read. Mistakes in the others are noted.
fn searchable(given: &[crate::SearchableField], mistakes: &mut Mistakes) -> Vec<SearchField> {
    if given.len() > search::MAX_FIELDS {
        let problem = format!("has {} entries, and {} is the limit", given.len(), search::MAX_FIELDS);
        mistakes.note::<()>(Err(invalid("searchable_fields", problem)));
        return vec![];
    }
    let mut read = |(field, [in_name, in_path, in_kind]): (&crate::SearchableField, &[&'static str; 3])| {
        let name = mistakes.note(FieldName::parse(&field.name).map_err(|problem| invalid(in_name, problem)));
        let path = mistakes.note(FieldPath::parse(&field.path).map_err(|problem| invalid(in_path, problem)));
        let unknown = || invalid(in_kind, format!("{} is not a kind", field.kind));
        let kind = mistakes.note(kind(field.kind).ok_or_else(unknown));
        Some(SearchField { name: name?, path: path?, kind: kind? })
    };
    given.iter().zip(&PARTS).filter_map(&mut read).collect()
}

fn kind(number: i32) -> Option<Kind> {
    Some(match crate::SearchableKind::try_from(number).ok()? {
        crate::SearchableKind::Unspecified | crate::SearchableKind::Text => Kind::Text,
        crate::SearchableKind::Email => Kind::Email,
        crate::SearchableKind::Phone => Kind::Phone,
    })
}

fn field_to_api(field: &SearchField) -> crate::SearchableField {
    let kind = match field.kind {
        Kind::Text => crate::SearchableKind::Text,
        Kind::Email => crate::SearchableKind::Email,
        Kind::Phone => crate::SearchableKind::Phone,
    };
    crate::SearchableField {
        name: field.name.as_str().to_owned(),
        path: field.path.as_str().to_owned(),
        kind: kind.into(),
    }
}

/// An API user from the API.
///
/// # Errors
/// Every field that cannot be read or is invalid.
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

/// The ids of an account and of an entity in it. `None` if one of them is invalid; the mistake is noted.
fn ids<T>(
    field: &'static str,
    account: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
    mistakes: &mut Mistakes,
) -> Option<(AccountId, T)> {
    let account = mistakes.note(required("account_id", account, AccountId::parse));
    let id = mistakes.note(required(field, text, parse));
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
