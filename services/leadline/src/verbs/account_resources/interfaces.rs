//! `leadline interfaces`: the forms, pages and campaigns that produce leads.

use std::time::Duration;

use api::duration_to_api;
use clap::{Args, Subcommand};

use super::args::{List, Named};
use crate::{
    remote::session::{ForAccount, Paging, Remote, within},
    terminal::{
        output::note,
        table::{Cell, Column, fixed, flexible},
        time_args::{days, span},
    },
    verbs::{
        accounts::{marked_addresses, mask, names, some},
        searching,
    },
};

/// Configure interfaces: the forms, pages and campaigns that produce leads.
#[derive(Debug, Args)]
pub(crate) struct Interfaces {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the interfaces of an account
    #[command(after_help = "Example:\n  leadline interfaces list --account acme")]
    List(List),
    /// Create an interface
    #[command(after_help = "Example:\n  leadline interfaces create contact-form --name 'Contact form' --retention 90d")]
    Create(Fields),
    /// Change the given settings of an interface
    #[command(after_help = "Examples:\n  leadline interfaces update contact-form --notify sales@acme.example\n  \
                      leadline interfaces update contact-form --searchable email=payload.email --searchable phone=payload.contact.tel:phone")]
    Update(Fields),
    /// Delete an interface
    #[command(after_help = "Example:\n  leadline interfaces delete contact-form")]
    Delete(Named),
}

#[derive(Debug, Args)]
struct Fields {
    /// Id of the interface: letters, digits, '_' and '-'
    id: String,
    /// Name of the interface
    #[arg(long)]
    name: Option<String>,
    /// How long its leads are kept before they are anonymised, 1d to 3650d
    #[arg(long, value_name = "DURATION", value_parser = span)]
    retention: Option<Duration>,
    /// Never anonymise its leads
    #[arg(long, conflicts_with = "retention")]
    no_retention: bool,
    /// Addresses for mails about its leads, separated by commas; '' removes all
    #[arg(long, value_name = "EMAIL", value_delimiter = ',')]
    notify: Option<Vec<String>>,
    /// Value in payloads by which its leads are found: a name, a path, and how it is compared (text, email or phone).
    /// May be given up to 8 times. The given values replace all others; '' removes all
    #[arg(long, value_name = "NAME=PATH:KIND", value_parser = searching::field)]
    searchable: Option<Vec<Option<api::SearchableField>>>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Interfaces {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(List { account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                session
                    .list(&Paging::ALL, COLUMNS, row, async |page_size, page_token| {
                        let request =
                            api::ListInterfacesRequest { account_id: account_id.clone(), page_size, page_token };
                        let page = session.registry().list_interfaces(within(request)).await?.into_inner();
                        Ok((page.interfaces, page.next_page_token))
                    })
                    .await
            }
            Verb::Create(change) => {
                let session = change.remote.connect().await?;
                let account_id = session.account(&change.account).await?;
                let request = api::CreateInterfaceRequest { interface: Some(change.split(account_id).0) };
                let interface = session.registry().create_interface(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &interface)?;
                warn(&interface);
                Ok(())
            }
            Verb::Update(change) => {
                let session = change.remote.connect().await?;
                let account_id = session.account(&change.account).await?;
                let (interface, paths) = change.split(account_id);
                let (interface, update_mask) = (Some(interface), Some(mask(&paths)?));
                let request = api::UpdateInterfaceRequest { interface, update_mask };
                let interface = session.registry().update_interface(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &interface)?;
                warn(&interface);
                Ok(())
            }
            Verb::Delete(Named { id, account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                let request = api::DeleteInterfaceRequest { account_id, interface_id: id.clone() };
                let deleted = session.registry().delete_interface(within(request)).await?.into_inner();
                session.done(&deleted, &format!("Interface {id} is deleted."))
            }
        }
    }
}

const COLUMNS: [Column; 5] =
    [fixed("INTERFACE"), flexible("NAME"), fixed("RETENTION"), flexible("NOTIFIED"), flexible("SEARCHABLE")];

/// Prints the warnings of a change to standard error, because they are for people.
fn warn(interface: &api::Interface) {
    for warning in &interface.warnings {
        note(&format!("Warning: {warning}"));
    }
}

fn row(interface: &api::Interface) -> Vec<Cell> {
    vec![
        interface.interface_id.as_str().into(),
        interface.name.as_str().into(),
        days(interface.retention.as_ref()).into(),
        marked_addresses(&interface.lead_notification_emails, &interface.unconfirmed_emails).into(),
        interface.searchable_fields.iter().map(searching::shown).collect::<Vec<_>>().join(", ").into(),
    ]
}

impl Fields {
    fn split(self, account_id: String) -> (api::Interface, Vec<&'static str>) {
        let given = [
            ("name", self.name.is_some()),
            ("retention", self.retention.is_some() || self.no_retention),
            ("lead_notification_emails", self.notify.is_some()),
            ("searchable_fields", self.searchable.is_some()),
        ];
        let interface = api::Interface {
            account_id,
            interface_id: self.id,
            name: self.name.unwrap_or_default(),
            retention: self.retention.map(duration_to_api),
            lead_notification_emails: some(self.notify),
            unconfirmed_emails: vec![],
            searchable_fields: self.searchable.unwrap_or_default().into_iter().flatten().collect(),
            warnings: vec![],
        };
        (interface, names(given))
    }
}
