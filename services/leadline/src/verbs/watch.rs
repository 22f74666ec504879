//! `leadline watch`: shows deliveries as they change.

use std::time::Duration;

use api::DeliveryStatus;
use clap::Args;
use tokio::time::sleep;
use tonic::{Request, Status};

use super::deliveries::{
    answer,
    answered::{Answered, answered},
    destination, destination_id, status, status_cell,
};
use crate::{
    remote::{
        names::Names,
        session::{ForAccount, Remote, Session},
    },
    terminal::{
        errors::is_away,
        output::note,
        table::{Cell, Table, fixed, flexible},
        time_args::clock,
    },
};

/// The pause before an interrupted watch continues.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The maximum number of interruptions of a watch without a message in between.
const MAX_BREAKS: u32 = 60;

/// Watch deliveries as they change, until Ctrl-C.
///
/// If the server goes down, the watch continues when it is back, and misses nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  leadline watch --destination CRM --status failed,retrying")]
pub(crate) struct Watch {
    /// Only deliveries to this destination: its id or its name
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// Only deliveries of this lead
    #[arg(long, value_name = "ID")]
    lead: Option<String>,
    /// Only changes to one of these statuses: pending, processing, retrying, held, succeeded, failed
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<DeliveryStatus>,
    /// Only changes after which the latest answer is like this: a status such as 503, a class such as 5xx, or none
    #[arg(long, value_name = "ANSWER", value_parser = answered)]
    answer: Option<Answered>,
    /// First show the newest 500 deliveries
    #[arg(long)]
    existing: bool,
    /// Continue where an earlier watch ended: the last resume_token that it printed with --json
    #[arg(long, value_name = "TOKEN", conflicts_with = "existing")]
    resume: Option<String>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Watch {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let destination_id = match &self.destination {
            Some(named) => destination_id(&session, &self.account, named).await?,
            None => String::new(),
        };
        let account = session.own_account(&self.account).await?;
        let names = Names {
            account: &account,
            lead: self.lead.as_deref(),
            destination: Some(destination_id.as_str()).filter(|id| !id.is_empty()),
            ..Names::default()
        };
        names.check(&session).await?;
        let Answered { status, class } = self.answer.unwrap_or_default();
        let request = api::WatchDeliveriesRequest {
            account_id: session.account_of_filter(&self.account),
            destination_id,
            lead_id: self.lead.clone().unwrap_or_default(),
            statuses: self.status.iter().map(|status| (*status).into()).collect(),
            existing: self.existing,
            resume_token: self.resume.clone().unwrap_or_default(),
            http_status_code: status,
            http_status_class: class,
        };
        Watching { session, request, table: table(), breaks: 0 }.run().await
    }
}

/// A watch that continues after interruptions.
struct Watching {
    session: Session,
    request: api::WatchDeliveriesRequest,
    table: Table,
    /// The number of interruptions since the last message.
    breaks: u32,
}

impl Watching {
    async fn run(mut self) -> anyhow::Result<()> {
        loop {
            if let Err(error) = self.run_until_interrupted().await {
                let away = error.downcast_ref::<Status>().is_some_and(is_away);
                if !away || self.breaks >= MAX_BREAKS {
                    return Err(error);
                }
            }
            if self.breaks == 0 {
                note("The watch was interrupted; reconnecting.");
            }
            self.breaks += 1;
            sleep(RETRY_DELAY).await;
        }
    }

    async fn run_until_interrupted(&mut self) -> anyhow::Result<()> {
        let request = Request::new(self.request.clone());
        let mut changes = self.session.deliveries().watch_deliveries(request).await?.into_inner();
        while let Some(change) = changes.message().await? {
            self.breaks = 0;
            self.request.resume_token.clone_from(&change.resume_token);
            self.request.existing = false;
            let Some(delivery) = &change.delivery else { continue };
            if self.session.out.is_json() {
                self.session.out.json_line(&change)?;
            } else {
                self.table.print(&self.session.out, &[row(delivery)])?;
            }
        }
        Ok(())
    }
}

/// The table of a watch. Its rows arrive one by one, so its columns have fixed widths that fit usual names.
fn table() -> Table {
    Table::new([
        fixed("AT").at_least(9),
        fixed("STATUS").at_least(10),
        fixed("DELIVERY").at_least(36),
        flexible("DESTINATION").at_least(14),
        flexible("TYPE").at_least(14),
        flexible("LEAD").at_least(16),
        fixed("ANSWER"),
    ])
}

fn row(delivery: &api::Delivery) -> Vec<Cell> {
    vec![
        clock(delivery.updated_at.as_ref()).into(),
        status_cell(delivery.status()),
        delivery.delivery_id.as_str().into(),
        destination(delivery).into(),
        delivery.event_type.as_str().into(),
        delivery.lead_id.as_str().into(),
        answer(delivery.http_status_code, &delivery.error_kind).into(),
    ]
}
