//! Stored accounts, clients, interfaces, API users, opt-outs and confirmations of addresses.

use domain::{
    notice::NoticeKind,
    registry::{Account, ApiUser, Client, Confirmation, Interface, Logo, NoPortal, OptOut, Portal, Role, Routing},
    search::{FieldName, FieldPath, Kind, SearchField},
};

use super::fields::{FACT, account, api_user, client, interface};
use crate::{
    primitives::{micros, non_empty, or_empty, span, wrong},
    record::RecordError,
    stored,
};

pub(super) fn account_to_stored(account: &Account) -> stored::Account {
    stored::Account {
        id: account.id.to_string(),
        name: account.name.clone(),
        brand: or_empty(account.brand.as_deref()),
        notification_emails: account.notification_emails.clone(),
        api_user_emails: account.api_user_emails.clone(),
        routing: account.routing.as_str().to_owned(),
        unconfirmed: account.unconfirmed.clone(),
        keep_history: account.keep_history.map(micros),
        portal_color: account.portal.color.map(|color| color.to_string()).unwrap_or_default(),
        portal_logo: account.portal.logo.as_ref().map(|logo| logo.bytes().to_vec()).unwrap_or_default(),
    }
}

pub(super) fn account_from_stored(stored: stored::Account) -> Result<Account, RecordError> {
    Ok(Account {
        id: account(&stored.id)?,
        name: stored.name,
        brand: non_empty(&stored.brand).map(str::to_owned),
        notification_emails: stored.notification_emails,
        api_user_emails: stored.api_user_emails,
        routing: Routing::parse(&stored.routing)
            .ok_or_else(|| wrong(FACT, "routing", format!("{:?} is unknown", stored.routing)))?,
        keep_history: stored.keep_history.map(|history| span(FACT, "keep_history", history)).transpose()?,
        portal: portal_from_stored(&stored.portal_color, &stored.portal_logo)?,
        unconfirmed: stored.unconfirmed,
        deleted: false,
    })
}

fn portal_from_stored(color: &str, logo: &[u8]) -> Result<Portal, RecordError> {
    let problem = |field, problem: NoPortal| wrong(FACT, field, problem.to_string());
    let color = non_empty(color).map(str::parse).transpose().map_err(|e| problem("portal_color", e))?;
    let logo = (!logo.is_empty()).then(|| Logo::parse(logo)).transpose().map_err(|e| problem("portal_logo", e))?;
    Ok(Portal { color, logo })
}

pub(super) fn client_to_stored(client: &Client) -> stored::Client {
    stored::Client { account: client.account.to_string(), id: client.id.to_string(), name: client.name.clone() }
}

pub(super) fn client_from_stored(stored: stored::Client) -> Result<Client, RecordError> {
    Ok(Client { account: account(&stored.account)?, id: client(&stored.id)?, name: stored.name, deleted: false })
}

pub(super) fn interface_to_stored(interface: &Interface) -> stored::Interface {
    stored::Interface {
        account: interface.account.to_string(),
        id: interface.id.to_string(),
        name: interface.name.clone(),
        retention: interface.retention.map(micros),
        lead_notification_emails: interface.lead_notification_emails.clone(),
        unconfirmed: interface.unconfirmed.clone(),
        searchable: interface.searchable.iter().map(field_to_stored).collect(),
    }
}

fn field_to_stored(field: &SearchField) -> stored::SearchField {
    let SearchField { name, path, kind } = field;
    stored::SearchField {
        name: name.as_str().to_owned(),
        path: path.as_str().to_owned(),
        kind: kind.as_str().to_owned(),
    }
}

fn field_from_stored(stored: &stored::SearchField) -> Result<SearchField, RecordError> {
    let unknown = || wrong(FACT, "searchable.kind", format!("{:?}", stored.kind));
    Ok(SearchField {
        name: FieldName::parse(&stored.name).map_err(|e| wrong(FACT, "searchable.name", e))?,
        path: FieldPath::parse(&stored.path).map_err(|e| wrong(FACT, "searchable.path", e))?,
        kind: Kind::parse(&stored.kind).ok_or_else(unknown)?,
    })
}

pub(super) fn interface_from_stored(stored: stored::Interface) -> Result<Interface, RecordError> {
    Ok(Interface {
        account: account(&stored.account)?,
        id: interface(&stored.id)?,
        name: stored.name,
        retention: stored.retention.map(|after| span(FACT, "retention", after)).transpose()?,
        lead_notification_emails: stored.lead_notification_emails,
        searchable: stored.searchable.iter().map(field_from_stored).collect::<Result<_, _>>()?,
        unconfirmed: stored.unconfirmed,
        deleted: false,
    })
}

pub(super) fn api_user_to_stored(user: &ApiUser) -> stored::ApiUser {
    stored::ApiUser {
        account: user.account.to_string(),
        id: user.id.to_string(),
        name: user.name.clone(),
        email: user.email.clone(),
        role: user.role.as_str().to_owned(),
        unconfirmed: user.unconfirmed.clone(),
    }
}

pub(super) fn api_user_from_stored(stored: stored::ApiUser) -> Result<ApiUser, RecordError> {
    Ok(ApiUser {
        account: account(&stored.account)?,
        id: api_user(&stored.id)?,
        name: stored.name,
        email: stored.email,
        role: Role::parse(&stored.role).ok_or_else(|| wrong(FACT, "role", format!("{:?} is unknown", stored.role)))?,
        unconfirmed: stored.unconfirmed,
        deleted: false,
    })
}

pub(super) fn opt_out_to_stored(opt_out: &OptOut) -> stored::OptOut {
    let (account, kind) = (opt_out.account.to_string(), opt_out.kind.as_str().to_owned());
    stored::OptOut { account, email: opt_out.email.clone(), kind }
}

pub(super) fn opt_out_from_stored(stored: &stored::OptOut) -> Result<OptOut, RecordError> {
    let kind = NoticeKind::parse(&stored.kind);
    let kind = kind.ok_or_else(|| wrong(FACT, "kind", format!("{:?} is unknown", stored.kind)))?;
    Ok(OptOut::new(account(&stored.account)?, &stored.email, kind))
}

pub(super) fn confirmation_to_stored(confirmation: &Confirmation) -> stored::Confirmation {
    stored::Confirmation { account: confirmation.account.to_string(), email: confirmation.email.clone() }
}

pub(super) fn confirmation_from_stored(stored: &stored::Confirmation) -> Result<Confirmation, RecordError> {
    Ok(Confirmation::new(account(&stored.account)?, &stored.email))
}
