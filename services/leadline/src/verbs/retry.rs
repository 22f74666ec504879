//! `leadline retry` and `leadline recover`: start jobs and follow them to their end.

use std::time::Duration;

use api::timestamp_to_api;
use clap::Args;
use jiff::Timestamp;

use super::{
    deliveries::{Choice, whole_id},
    jobs::{follow, show},
};
use crate::{
    remote::session::{ForAccount, Remote, Session, within},
    terminal::{
        errors::usage,
        time_args::{past, span},
    },
};

/// The options of a new job.
#[derive(Debug, Args)]
struct JobOptions {
    /// Only count the deliveries; do nothing
    #[arg(long)]
    dry_run: bool,
    /// Deliveries a second, 1 to 1,000 [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pace: Option<u32>,
    /// Wait neither for the end of the job nor for the outcomes of the deliveries
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the outcomes of the deliveries once all are requested; they continue in any case
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "1m", conflicts_with = "no_wait")]
    wait: Duration,
    /// Reason of the request; the leads' logs show it
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Name of the person who makes the request; the leads' logs show it beside the key
    #[arg(long, env = "LEADLINE_REQUESTED_BY", value_name = "NAME")]
    requested_by: Option<String>,
    /// Id of this call: a repeated call with the same id starts no other job [default: a new one each time]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

/// Retry failed deliveries, by id or by filter; with --force, resend succeeded ones, too.
///
/// The job runs in the background at an even pace. The command follows it to its end and shows the outcomes of the
/// deliveries. Exit code 0: every delivery succeeded, or still waits; 1: some were refused or failed again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  leadline retry 5c1de6fc-0e4b-5d4c-9f5e-7b0f5b1f2a3c\n  \
                        leadline retry --destination CRM --since 2h --dry-run\n  \
                        leadline retry --force --because 'the CRM lost it' 5c1de6fc-0e4b-5d4c-9f5e-7b0f5b1f2a3c")]
pub(crate) struct Retry {
    /// Ids of deliveries, or their beginnings
    #[arg(value_name = "DELIVERY")]
    delivery_ids: Vec<String>,
    /// Retry every failed delivery of the account
    #[arg(long, conflicts_with = "delivery_ids")]
    all: bool,
    /// Resend succeeded deliveries, too; the receiver gets the same webhook-id again
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    options: JobOptions,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

/// Bring a destination the events that it missed since a given time: those without a delivery, and those whose delivery
/// failed.
///
/// The job runs in the background at an even pace. The command follows it to its end and shows the outcomes of the
/// deliveries. Exit code 0: every delivery succeeded, or still waits; 1: some were refused or failed again. Events that
/// the destination has are skipped, so the command may be repeated; --include-succeeded sends them again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  leadline recover CRM --since 2026-01-31T08:00:00Z --dry-run")]
pub(crate) struct Recover {
    /// The destination: its id or its name
    destination: String,
    /// Only events received at this time or later: 2h (ago), 7d, 14:00, today, yesterday 9:30, 2026-01-31, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Timestamp,
    /// Only events received before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<Timestamp>,
    /// Include events that are older than the destination
    #[arg(long)]
    include_before_created: bool,
    /// Resend events that the destination has accepted
    #[arg(long)]
    include_succeeded: bool,
    /// Only events of these types, or of patterns such as 'email.*'
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    event_types: Vec<String>,
    #[command(flatten)]
    options: JobOptions,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Retry {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { delivery_ids, all, force, choice, options, account, remote } = self;
        match (delivery_ids.is_empty(), choice.is_any()) {
            (false, true) => return Err(usage("give ids of deliveries or a filter, not both")),
            (true, false) if !all => {
                return Err(usage(
                    "no deliveries are named; give their ids, a filter (--destination, --since, …), or --all for every \
                     failed delivery of the account",
                ));
            }
            _ => {}
        }
        let session = remote.connect().await?;
        let account_id = session.account(&account).await?;
        let filter = match delivery_ids.is_empty() {
            true => {
                let filter = choice.filter(&session, &account).await?;
                choice.names(&account_id, &filter).check(&session).await?;
                Some(filter)
            }
            false => None,
        };
        let mut whole = vec![];
        for id in &delivery_ids {
            whole.push(whole_id(&session, id).await?);
        }
        let request = api::RetryDeliveriesRequest {
            account_id,
            delivery_ids: whole,
            filter,
            dry_run: options.dry_run,
            pace: options.pace.unwrap_or_default(),
            requested_by: options.requested_by.clone().unwrap_or_default(),
            request_id: options.request_id(),
            force,
            reason: options.because.clone().unwrap_or_default(),
        };
        let job = session.jobs().retry_deliveries(within(request)).await?.into_inner().job.unwrap_or_default();
        options.finish(&session, job).await
    }
}

impl Recover {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self {
            destination,
            since,
            until,
            include_before_created,
            include_succeeded,
            event_types,
            options,
            account,
            remote,
        } = self;
        let session = remote.connect().await?;
        let account_id = session.account(&account).await?;
        let request = api::RecoverDestinationRequest {
            destination_id: session.destination(&account_id, &destination).await?.destination_id,
            account_id,
            since: Some(timestamp_to_api(since)),
            until: until.map(timestamp_to_api),
            include_before_created,
            dry_run: options.dry_run,
            pace: options.pace.unwrap_or_default(),
            requested_by: options.requested_by.clone().unwrap_or_default(),
            request_id: options.request_id(),
            include_succeeded,
            event_types,
            reason: options.because.clone().unwrap_or_default(),
        };
        let job = session.jobs().recover_destination(within(request)).await?.into_inner().job.unwrap_or_default();
        options.finish(&session, job).await
    }
}

impl JobOptions {
    fn request_id(&self) -> String {
        self.request_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
    }

    /// Follows the job to its end, or shows it at once with `--no-wait`.
    async fn finish(&self, session: &Session, job: api::Job) -> anyhow::Result<()> {
        if self.no_wait {
            return show(session, &job).await;
        }
        follow(session, &job.job_id, self.wait).await
    }
}
