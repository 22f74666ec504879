//! `leadline leads` and `leadline export`: lists leads, shows one with its log, and exports them.

mod lines;

use std::{fs::File, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use api::PayloadState;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tonic::{Code, Request};

use self::lines::Lines;
use crate::{
    remote::{
        names::Names,
        session::{ForAccount, Paging, Remote, Session, within},
    },
    terminal::{
        errors::usage,
        output::{counted, harmless, in_json, note, print, write},
        table::{Cell, Table, Tone, fixed, flexible, print_facts, wrapped},
        time_args::{past, shown},
    },
    verbs::searching,
};

/// The page size of a log.
const LOG_PAGE: u32 = 200;
/// The word of the log for an event that was received.
const RECEIVED: &str = "received";
/// At most this many payloads are shown: each is a call and an entry of the audit log.
const MAX_PAYLOADS: usize = 20;

/// List leads, or show one with its log.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  leadline leads --failed --since 7d\n  leadline leads --where email=ada@example.com"
)]
pub(crate) struct Leads {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List leads, the newest first
    #[command(
        after_help = "Examples:\n  leadline leads list --failed --since 7d\n  leadline leads list --where email=ada@example.com"
    )]
    List(List),
    /// Show a lead and its log
    #[command(after_help = "Examples:\n  leadline leads show ada\n  leadline leads show ada --payload")]
    Show(Show),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Show {
    /// The lead
    #[arg(value_name = "LEAD")]
    lead_id: String,
    /// Show what was published: the payloads of the latest 20 events. The key needs the scope payload, and the audit
    /// log notes each view
    #[arg(long)]
    payload: bool,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

/// Write leads as CSV; with --json, one JSON object on each line.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  leadline export --failed --since 7d --output leads.csv\n  leadline export --bom --text-ids --output for-excel.csv"
)]
pub(crate) struct Export {
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE", conflicts_with = "json")]
    output: Option<PathBuf>,
    /// Begin with a byte order mark, so that Excel reads the file as UTF-8
    #[arg(long, conflicts_with = "json")]
    bom: bool,
    /// Put an apostrophe before ids that a spreadsheet would turn into numbers or dates
    #[arg(long, conflicts_with = "json")]
    text_ids: bool,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

/// A filter of leads.
#[derive(Debug, Args)]
struct Choice {
    /// Only leads of this interface
    #[arg(long, value_name = "ID")]
    interface: Option<String>,
    /// Only leads of this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Only leads with a failed delivery
    #[arg(long)]
    failed: bool,
    /// Only leads without a failed delivery
    #[arg(long, conflicts_with = "failed")]
    not_failed: bool,
    /// Only leads whose latest attempt was answered with this status; 999 if there was no answer
    #[arg(long, value_name = "STATUS")]
    http_status: Option<u32>,
    /// Only leads created at this time or later: 2h (ago), 7d, 14:00, today, yesterday 9:30, 2026-01-31, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<jiff::Timestamp>,
    /// Only leads created before this time
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<jiff::Timestamp>,
    /// Only leads with this value of a searchable field in an event, such as email=ada@example.com; if repeated, leads
    /// with all of these values
    #[arg(long = "where", value_name = "NAME=VALUE", value_parser = searching::value)]
    values: Vec<(String, String)>,
}

impl Choice {
    fn request(&self, account_id: String) -> anyhow::Result<api::ListLeadsRequest> {
        Ok(api::ListLeadsRequest {
            account_id,
            interface_id: self.interface.clone().unwrap_or_default(),
            failed: (self.failed || self.not_failed).then_some(self.failed),
            created_from: self.since.map(api::timestamp_to_api),
            created_before: self.until.map(api::timestamp_to_api),
            client_id: self.client.clone().unwrap_or_default(),
            http_status_code: self.http_status.unwrap_or_default(),
            r#where: searching::values(&self.values)?,
            ..api::ListLeadsRequest::default()
        })
    }
}

impl Leads {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            None => self.list.run().await,
            Some(Verb::List(list)) => list.run().await,
            Some(Verb::Show(show)) => show.run().await,
        }
    }
}

impl List {
    async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let request = self.choice.request(session.account(&self.account).await?)?;
        list(&session, &request, &self.paging).await
    }
}

async fn list(session: &Session, request: &api::ListLeadsRequest, paging: &Paging) -> anyhow::Result<()> {
    let columns = [
        fixed("CREATED"),
        fixed("LEAD"),
        flexible("INTERFACE"),
        flexible("CLIENT"),
        fixed("EVENTS"),
        fixed("FAILED"),
        fixed("ANSWER"),
        wrapped("SAID"),
    ];
    let row = |lead: &api::Lead| {
        vec![
            shown(lead.created_at.as_ref()).into(),
            lead.lead_id.as_str().into(),
            lead.interface_id.as_str().into(),
            lead.client_id.as_str().into(),
            lead.events.into(),
            failures(lead),
            status(lead.http_status_code).into(),
            lead.webhook_response.as_str().into(),
        ]
    };
    let page = async |page_size, page_token| {
        let request = api::ListLeadsRequest { page_size, page_token, ..request.clone() };
        let page = session.leads().list_leads(within(request)).await?.into_inner();
        Ok((page.leads, page.next_page_token))
    };
    session.list_filtered(paging, columns, row, page, &names(request)).await
}

/// The names in a filter of leads.
fn names(request: &api::ListLeadsRequest) -> Names<'_> {
    Names {
        account: &request.account_id,
        interface: Some(request.interface_id.as_str()).filter(|id| !id.is_empty()),
        client: Some(request.client_id.as_str()).filter(|id| !id.is_empty()),
        ..Names::default()
    }
}

fn failures(lead: &api::Lead) -> Cell {
    let tone = if lead.failed { Tone::Bad } else { Tone::Plain };
    Cell::toned(format!("{} of {}", lead.failed_deliveries, lead.deliveries), tone)
}

fn status(http_status: u32) -> String {
    match http_status {
        0 => String::new(),
        999 => "none".to_owned(),
        status => status.to_string(),
    }
}

impl Show {
    async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let request = api::GetLeadRequest { account_id: account_id.clone(), lead_id: self.lead_id.clone() };
        let lead = match session.leads().get_lead(within(request)).await {
            Err(status) if status.code() == Code::InvalidArgument && self.lead_id.contains('@') => {
                let email = &self.lead_id;
                return Err(usage(format!(
                    "no lead id has an @; leadline leads --where email={email} finds leads by it"
                )));
            }
            found => found?.into_inner(),
        };
        let log = self.log(&session, &account_id).await?;
        let events = if self.payload { self.events(&session, &account_id, &log).await? } else { vec![] };
        if session.out.is_json() {
            let log = log.iter().map(in_json).collect::<anyhow::Result<Vec<Value>>>()?;
            let mut shown = json!({"lead": in_json(&lead)?, "log": log});
            if self.payload {
                shown["events"] = events.iter().map(in_json).collect::<anyhow::Result<Value>>()?;
            }
            return print(&format!("{shown:#}"));
        }
        let facts = vec![
            ("lead", lead.lead_id.as_str().into()),
            ("account", lead.account_id.as_str().into()),
            ("interface", lead.interface_id.as_str().into()),
            ("client", lead.client_id.as_str().into()),
            ("created", shown(lead.created_at.as_ref()).into()),
            ("updated", shown(lead.updated_at.as_ref()).into()),
            ("events", lead.events.into()),
            ("failed deliveries", failures(&lead)),
            ("answer", format!("{} {}", status(lead.http_status_code), lead.webhook_response).trim().into()),
        ];
        print_facts(&session.out, facts)?;
        if log.is_empty() {
            return Ok(());
        }
        print("")?;
        let names = session.names_of(&account_id, log.iter().map(|entry| entry.destination_id.as_str())).await?;
        let row = |entry: &api::LeadLogEntry| {
            vec![
                shown(entry.at.as_ref()).into(),
                entry.entry.as_str().into(),
                names.get(&entry.destination_id).unwrap_or(&entry.destination_id).as_str().into(),
                entry.delivery_id.as_str().into(),
                entry.detail.as_str().into(),
            ]
        };
        let columns = [fixed("AT"), fixed("ENTRY"), flexible("DESTINATION"), fixed("DELIVERY"), wrapped("SAYS")];
        Table::new(columns).print(&session.out, &log.iter().map(row).collect::<Vec<_>>())?;
        events.iter().try_for_each(print_payload)
    }

    /// The latest events of a lead with their payloads, the oldest first.
    async fn events(
        &self,
        session: &Session,
        account_id: &str,
        log: &[api::LeadLogEntry],
    ) -> anyhow::Result<Vec<api::Event>> {
        let received: Vec<_> = log.iter().filter(|entry| entry.entry == RECEIVED).collect();
        let latest = &received[received.len().saturating_sub(MAX_PAYLOADS)..];
        if latest.len() < received.len() {
            note(&format!("The payloads are those of the latest {MAX_PAYLOADS} of {} events.", received.len()));
        }
        let mut events = Vec::with_capacity(latest.len());
        for entry in latest {
            let request = api::GetEventRequest { account_id: account_id.to_owned(), event_id: entry.event_id.clone() };
            events.push(session.leads().get_event(within(request)).await?.into_inner());
        }
        Ok(events)
    }

    async fn log(&self, session: &Session, account_id: &str) -> anyhow::Result<Vec<api::LeadLogEntry>> {
        let (mut log, mut page_token) = (vec![], String::new());
        loop {
            let (account_id, lead_id) = (account_id.to_owned(), self.lead_id.clone());
            let request = api::GetLeadLogRequest { account_id, lead_id, page_size: LOG_PAGE, page_token };
            let page = session.leads().get_lead_log(within(request)).await?.into_inner();
            log.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(log);
            }
        }
    }
}

/// An event and its payload as it was published.
fn print_payload(event: &api::Event) -> anyhow::Result<()> {
    let at = shown(event.received_at.as_ref());
    print(&format!("\n{} {} of {at}", event.event_type, event.event_id))?;
    match event.payload_state() {
        PayloadState::Stored => print(&harmless(&String::from_utf8_lossy(&event.payload))),
        PayloadState::Anonymised => print("(anonymised)"),
        PayloadState::Expired | PayloadState::Unspecified => print("(no longer stored)"),
    }
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let list = self.choice.request(session.account(&self.account).await?)?;
        if session.out.is_json() {
            return self::list(&session, &list, &Paging::ALL).await;
        }
        names(&list).check(&session).await?;
        let request = api::ExportLeadsRequest {
            account_id: list.account_id,
            interface_id: list.interface_id,
            failed: list.failed,
            created_from: list.created_from,
            created_before: list.created_before,
            client_id: list.client_id,
            http_status_code: list.http_status_code,
            byte_order_mark: self.bom,
            ids_as_text: self.text_ids,
            r#where: list.r#where,
        };
        // An export has no timeout: its length depends on the number of leads.
        let mut pieces = session.leads().export_leads(Request::new(request)).await?.into_inner();
        let Some(file) = &self.output else {
            while let Some(piece) = pieces.message().await? {
                write(&piece.csv)?;
            }
            return Ok(());
        };
        let failed = || format!("--output: {} cannot be written", file.display());
        let mut written = File::create(file).with_context(failed)?;
        let mut lines = Lines::default();
        while let Some(piece) = pieces.message().await.with_context(|| format!("{} is not complete", file.display()))? {
            written.write_all(&piece.csv).with_context(failed)?;
            lines.count(&piece.csv);
        }
        written.sync_all().with_context(failed)?;
        // The first line has the titles.
        let leads = counted(lines.ended.saturating_sub(1), "lead", "leads");
        note(&format!("{} has {leads}.", file.display()));
        Ok(())
    }
}
