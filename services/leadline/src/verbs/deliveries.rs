//! `leadline deliveries`: lists deliveries and shows one.

pub(super) mod answered;
mod exchange;
pub(super) mod request;

use answered::{Answered, answered};
use api::DeliveryStatus;
use clap::{Args, Subcommand};

use crate::{
    remote::{
        names::Names,
        session::{ForAccount, Paging, Remote, Session, within},
    },
    terminal::{
        errors::usage,
        output::print,
        table::{Cell, Table, Tone, fixed, flexible, print_facts, wrapped},
        time_args::{lasted, past, shown},
    },
    verbs::searching,
};

/// List deliveries, or show one with its attempts.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  leadline deliveries --status failed --destination CRM --since 2h\n  \
                  leadline deliveries --answer 5xx\n  leadline deliveries --where email=ada@example.com"
)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List deliveries, the newest first
    #[command(after_help = "Example:\n  leadline deliveries list --status failed --destination CRM --since 2h")]
    List(Box<List>),
    /// Show a delivery with its attempts and what to do
    #[command(after_help = "Examples:\n  leadline deliveries show 5c1de6fc-0e4b-5d4c-9f5e-7b0f5b1f2a3c\n  \
                      leadline deliveries show 5c1de6fc-0e4b-5d4c-9f5e-7b0f5b1f2a3c --request")]
    Show(Show),
    /// Render the request of an attempt again, from the payload and the current settings
    #[command(after_help = "Example:\n  leadline deliveries request 5c1de6fc-0e4b-5d4c-9f5e-7b0f5b1f2a3c")]
    Request(request::AttemptRequest),
}

#[derive(Debug, Args)]
struct List {
    /// Only deliveries with one of these statuses: pending, processing, retrying, held, succeeded, failed
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<DeliveryStatus>,
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
    /// The delivery: its id, or the beginning of it
    #[arg(value_name = "DELIVERY")]
    delivery_id: String,
    /// Show what each attempt sent and got: headers, sizes, times and bodies
    #[arg(long)]
    request: bool,
    #[command(flatten)]
    remote: Remote,
}

/// A filter of deliveries; every given condition has to hold.
#[derive(Debug, Args, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Only deliveries to this destination: its id or its name
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// Only deliveries of leads of this interface
    #[arg(long, value_name = "ID")]
    interface: Option<String>,
    /// Only deliveries of leads of this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Only deliveries of this lead
    #[arg(long, value_name = "ID")]
    lead: Option<String>,
    /// Only deliveries of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Only deliveries of events of this type, or of a pattern such as 'email.*'
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only deliveries that failed for this reason, such as exhausted, too_old, render or skipped
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only deliveries whose latest attempt was answered like this: a status such as 503, a class such as 5xx, or none
    #[arg(long, value_name = "ANSWER", value_parser = answered)]
    answer: Option<Answered>,
    /// The same as --answer, for one status; 999 if there was no answer
    #[arg(long, value_name = "STATUS", conflicts_with = "answer")]
    http_status: Option<u32>,
    /// Only deliveries requested at this time or later: 2h (ago), 7d, 14:00, today, yesterday 9:30, 2026-01-31, or RFC
    /// 3339
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<jiff::Timestamp>,
    /// Only deliveries requested before this time
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<jiff::Timestamp>,
    /// Only deliveries of leads with this value of a searchable field in an event, such as email=ada@example.com; if
    /// repeated, of leads with all of these values
    #[arg(long = "where", value_name = "NAME=VALUE", value_parser = searching::value)]
    values: Vec<(String, String)>,
}

impl Choice {
    /// Whether any condition is given.
    pub(crate) fn is_any(&self) -> bool {
        let Self { destination, interface, client, lead, event, event_type, reason, .. } = self;
        let Self { answer, http_status, since, until, values, .. } = self;
        let texts = [destination, interface, client, lead, event, event_type, reason];
        let times = since.is_some() || until.is_some();
        let answers = answer.is_some() || http_status.is_some();
        texts.iter().any(|text| text.is_some()) || answers || times || !values.is_empty()
    }

    /// The names in the filter of the API.
    pub(crate) fn names<'a>(&'a self, account: &'a str, filter: &'a api::DeliveryFilter) -> Names<'a> {
        Names {
            account,
            interface: self.interface.as_deref(),
            client: self.client.as_deref(),
            lead: self.lead.as_deref(),
            destination: Some(filter.destination_id.as_str()).filter(|id| !id.is_empty()),
            event: self.event.as_deref(),
        }
    }

    /// The filter of the API.
    pub(crate) async fn filter(&self, session: &Session, account: &ForAccount) -> anyhow::Result<api::DeliveryFilter> {
        let destination_id = match &self.destination {
            Some(named) => destination_id(session, account, named).await?,
            None => String::new(),
        };
        // A search by values needs an account.
        let account_id = match self.values.is_empty() {
            true => session.account_of_filter(account),
            false => session.account(account).await?,
        };
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        let Answered { status, class } = self.answer.unwrap_or_default();
        Ok(api::DeliveryFilter {
            account_id,
            interface_id: text(&self.interface),
            destination_id,
            lead_id: text(&self.lead),
            event_id: text(&self.event),
            event_type: text(&self.event_type),
            statuses: vec![],
            requested_from: self.since.map(api::timestamp_to_api),
            requested_before: self.until.map(api::timestamp_to_api),
            client_id: text(&self.client),
            failure_reason: text(&self.reason),
            http_status_code: self.http_status.unwrap_or(status),
            http_status_class: class,
            r#where: searching::values(&self.values)?,
        })
    }
}

/// The id of a destination, given its id or its name. A whole id is not looked up, because a deleted destination has
/// deliveries, too.
pub(crate) async fn destination_id(session: &Session, account: &ForAccount, named: &str) -> anyhow::Result<String> {
    if named.starts_with("dst_") && named.len() >= WHOLE_ID {
        return Ok(named.to_owned());
    }
    let account_id = session.account(account).await?;
    Ok(session.destination(&account_id, named).await?.destination_id)
}

impl Deliveries {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            None => self.list.run().await,
            Some(Verb::List(list)) => list.run().await,
            Some(Verb::Show(show)) => show.run().await,
            Some(Verb::Request(request)) => request.run().await,
        }
    }
}

impl List {
    async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let mut filter = self.choice.filter(&session, &self.account).await?;
        filter.statuses = self.status.iter().map(|status| (*status).into()).collect();
        let columns = [
            fixed("REQUESTED"),
            fixed("STATUS"),
            fixed("DELIVERY"),
            flexible("DESTINATION"),
            flexible("TYPE"),
            flexible("LEAD"),
            fixed("ANSWER"),
        ];
        let row = |delivery: &api::Delivery| {
            vec![
                shown(delivery.requested_at.as_ref()).into(),
                status_cell(delivery.status()),
                delivery.delivery_id.as_str().into(),
                destination(delivery).into(),
                delivery.event_type.as_str().into(),
                delivery.lead_id.as_str().into(),
                answer(delivery.http_status_code, &delivery.error_kind).into(),
            ]
        };
        let page = async |page_size, page_token| {
            let request = api::ListDeliveriesRequest { filter: Some(filter.clone()), page_size, page_token };
            let page = session.deliveries().list_deliveries(within(request)).await?.into_inner();
            Ok((page.deliveries, page.next_page_token))
        };
        let account = session.own_account(&self.account).await?;
        let names = self.choice.names(&account, &filter);
        session.list_filtered(&self.paging, columns, row, page, &names).await
    }
}

impl Show {
    async fn run(&self) -> anyhow::Result<()> {
        check_id(&self.delivery_id)?;
        let session = self.remote.connect().await?;
        let request = api::GetDeliveryRequest { delivery_id: self.delivery_id.clone() };
        let detail = session.deliveries().get_delivery(within(request)).await?.into_inner();
        print_detail(&session, &detail)?;
        if self.request && !session.out.is_json() {
            detail.attempts.iter().try_for_each(exchange::print)?;
        }
        Ok(())
    }
}

/// Prints a delivery, its attempts, and what to do.
pub(crate) fn print_detail(session: &Session, detail: &api::DeliveryDetail) -> anyhow::Result<()> {
    if session.out.is_json() {
        return session.out.json(detail);
    }
    let delivery = detail.delivery.clone().unwrap_or_default();
    let status = match delivery.failure_reason.as_str() {
        "" => word(delivery.status()),
        reason => format!("{} ({reason})", word(delivery.status())),
    };
    let facts = vec![
        ("delivery", delivery.delivery_id.as_str().into()),
        ("status", Cell::toned(status, tone(delivery.status()))),
        ("account", delivery.account_id.as_str().into()),
        ("destination", named(&delivery.destination_name, &delivery.destination_id).into()),
        ("lead", delivery.lead_id.as_str().into()),
        ("event", format!("{} ({})", delivery.event_id, delivery.event_type).into()),
        ("interface", delivery.interface_id.as_str().into()),
        ("client", delivery.client_id.as_str().into()),
        ("requested", shown(delivery.requested_at.as_ref()).into()),
        ("updated", shown(delivery.updated_at.as_ref()).into()),
        ("next attempt", shown(delivery.next_attempt_at.as_ref()).into()),
        ("request", format!("{} {}", delivery.request_method, delivery.request_url).trim().into()),
        ("answer", full_answer(&delivery).into()),
        ("to do", delivery.suggested_action.as_str().into()),
    ];
    print_facts(&session.out, facts)?;
    if detail.attempts.is_empty() {
        return Ok(());
    }
    print("")?;
    let columns = [fixed("ATTEMPT"), fixed("ROUND"), fixed("STARTED"), fixed("TOOK"), fixed("ANSWER"), wrapped("SAID")];
    let row = |attempt: &api::Attempt| {
        vec![
            attempt.number.into(),
            attempt.round.into(),
            shown(attempt.started_at.as_ref()).into(),
            lasted(attempt.duration.as_ref()).into(),
            answer(attempt.http_status_code, &attempt.error_kind).into(),
            attempt.webhook_response.as_str().into(),
        ]
    };
    Table::new(columns).print(&session.out, &detail.attempts.iter().map(row).collect::<Vec<_>>())
}

fn full_answer(delivery: &api::Delivery) -> String {
    match answer(delivery.http_status_code, &delivery.error_kind) {
        none if none.is_empty() => none,
        answer => format!("{answer} {}", delivery.webhook_response),
    }
}

/// The length of the ids that Leadline makes. A shorter text is the beginning of an id.
const WHOLE_ID: usize = 36;

/// Checks that a text can be the id of a delivery, which is a UUID. People sometimes give the id of an event or a lead.
fn check_id(given: &str) -> anyhow::Result<()> {
    if given.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Ok(());
    }
    Err(usage(format!(
        "{given} is not the id of a delivery; leadline deliveries --event {given}, or --lead {given}, lists deliveries with \
         their ids"
    )))
}

/// The whole id of a delivery; `given` may be its beginning.
pub(crate) async fn whole_id(session: &Session, given: &str) -> anyhow::Result<String> {
    check_id(given)?;
    if given.len() >= WHOLE_ID {
        return Ok(given.to_owned());
    }
    let request = api::GetDeliveryRequest { delivery_id: given.to_owned() };
    let found = session.deliveries().get_delivery(within(request)).await?.into_inner();
    Ok(found.delivery.unwrap_or_default().delivery_id)
}

/// The destination, for a table.
pub(crate) fn destination(delivery: &api::Delivery) -> &str {
    if delivery.destination_name.is_empty() { &delivery.destination_id } else { &delivery.destination_name }
}

/// A name followed by its id.
pub(crate) fn named(name: &str, id: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}

/// The status of the answer, or why there was none; empty if there was no attempt yet.
pub(crate) fn answer(http_status: u32, error_kind: &str) -> String {
    match (http_status, error_kind) {
        (_, kind) if !kind.is_empty() => kind.to_owned(),
        (0, _) => String::new(),
        (status, _) => status.to_string(),
    }
}

pub(crate) fn status_cell(status: DeliveryStatus) -> Cell {
    Cell::toned(word(status), tone(status))
}

fn word(status: DeliveryStatus) -> String {
    status.as_str_name().trim_start_matches(PREFIX).to_lowercase()
}

fn tone(status: DeliveryStatus) -> Tone {
    match status {
        DeliveryStatus::Succeeded => Tone::Good,
        DeliveryStatus::Failed => Tone::Bad,
        DeliveryStatus::Retrying | DeliveryStatus::Held => Tone::Waiting,
        DeliveryStatus::Unspecified | DeliveryStatus::Pending | DeliveryStatus::Processing => Tone::Plain,
    }
}

const PREFIX: &str = "DELIVERY_STATUS_";

/// Reads a status from the command line.
pub(crate) fn status(text: &str) -> Result<DeliveryStatus, String> {
    let found = DeliveryStatus::from_str_name(&format!("{PREFIX}{}", text.to_uppercase()));
    let known = found.filter(|status| *status != DeliveryStatus::Unspecified);
    known.ok_or_else(|| "is not one of pending, processing, retrying, held, succeeded, failed".to_owned())
}
