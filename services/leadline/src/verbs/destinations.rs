//! `leadline destinations`: configures destinations and tests them.

mod condition;
mod connection;
mod content;
pub(super) mod health;
mod named;
mod settings;
mod trial;
mod view;

use clap::{Args, Subcommand};

use self::{
    condition::TestCondition,
    health::{Health, List},
    named::Named,
    settings::Settings,
    trial::Trial,
    view::{COLUMNS, row, show, warn},
};
use super::{
    accounts::mask,
    deliveries::answer,
    tokens::{Overlap, rotate},
};
use crate::{
    remote::session::{ForAccount, Remote, within},
    terminal::{
        errors::usage,
        table::{Cell, Tone, fixed, flexible, wrapped},
        time_args::{lasted, shown},
    },
};

/// Configure destinations, enable, disable and test them.
#[derive(Debug, Args)]
pub(crate) struct Destinations {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the destinations of an account, and the health of each
    #[command(after_help = "Example:\n  leadline destinations list --account acme")]
    List(List),
    /// Show the health of a destination: successes and failures in the last hour, what waits, and why
    #[command(after_help = "Example:\n  leadline destinations health CRM")]
    Health(Health),
    /// Show a destination
    #[command(after_help = "Example:\n  leadline destinations show CRM")]
    Show(Named),
    /// Create a destination
    #[command(
        after_help = "Examples:\n  leadline destinations create --name CRM --url https://crm.example/leads --events 'lead.*'\n  \
                            leadline destinations create --from destination.json\n  \
                            leadline destinations create --name Salesforce --url https://webto.salesforce.example/servlet \\\n    \
                            --body form --form-constant oid=00D000000000000 --form-field name=last_name\n  \
                            leadline destinations create --url https://crm.example/leads --client-cert own.pem --client-key own.key --ca crm-ca.pem"
    )]
    Create(Create),
    /// Change the given settings of a destination
    #[command(after_help = "Example:\n  leadline destinations update CRM --rate 10 --retry-policy patient")]
    Update(Update),
    /// Enable a destination, whether a person disabled it or a rule deactivated it; its held deliveries are sent
    #[command(visible_alias = "reactivate", after_help = "Example:\n  leadline destinations reactivate CRM")]
    Enable(Enable),
    /// Disable a destination; its deliveries are held until it is enabled
    #[command(after_help = "Example:\n  leadline destinations disable CRM")]
    Disable(Named),
    /// Give the token of a destination a new secret and print it; the old one still signs for a while
    #[command(after_help = "Example:\n  leadline destinations rotate-secret CRM --overlap 7d")]
    RotateSecret(RotateSecret),
    /// Send a test event to a destination, and show its delivery
    #[command(after_help = "Example:\n  leadline destinations test CRM")]
    Test(Trial),
    /// Test whether the condition of a destination, or another condition, holds for a payload; exit code 1 if it does
    /// not
    #[command(
        after_help = "Examples:\n  leadline destinations test-condition CRM --payload '{\"country\": \"DE\"}'\n  \
                            leadline destinations test-condition --condition '{\"payload.budget\": {\"gte\": 5000}}' \
                            --payload '{\"budget\": 100}'"
    )]
    TestCondition(TestCondition),
    /// List the last attempts of a destination, the newest first
    #[command(after_help = "Example:\n  leadline destinations events CRM --limit 20")]
    Events(Events),
    /// Delete a destination
    #[command(after_help = "Example:\n  leadline destinations delete CRM")]
    Delete(Named),
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    settings: Settings,
    /// Id of this call: a repeated call with the same id creates no other destination [default: a new one each time]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Update {
    /// The destination: its id or its name
    destination: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Enable {
    /// Do not send the deliveries that are held: they fail with the reason "skipped"
    #[arg(long)]
    skip_held: bool,
    #[command(flatten)]
    named: Named,
}

#[derive(Debug, Args)]
struct RotateSecret {
    #[command(flatten)]
    overlap: Overlap,
    #[command(flatten)]
    named: Named,
}

#[derive(Debug, Args)]
struct Events {
    /// Show at most this many
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    #[command(flatten)]
    named: Named,
}

impl Destinations {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(list) => list.run().await,
            Verb::Health(health) => health.run().await,
            Verb::Show(named) => {
                let (session, found) = named.found().await?;
                let (account_id, destination_id) = (found.account_id, found.destination_id);
                let request = api::GetDestinationRequest { account_id, destination_id };
                let destination = session.registry().get_destination(within(request)).await?.into_inner();
                show(&session, &destination)
            }
            Verb::Create(create) => create.run().await,
            Verb::Update(update) => Box::pin(update.run()).await,
            Verb::Enable(Enable { named, skip_held }) => {
                let (session, found) = named.found().await?;
                let (account_id, destination_id) = (found.account_id, found.destination_id);
                let request = api::EnableDestinationRequest { account_id, destination_id, skip_held };
                let enabled = session.registry().enable_destination(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &enabled)
            }
            Verb::Disable(named) => {
                let (session, found) = named.found().await?;
                let (account_id, destination_id) = (found.account_id, found.destination_id);
                let request = api::DisableDestinationRequest { account_id, destination_id };
                let disabled = session.registry().disable_destination(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &disabled)
            }
            Verb::RotateSecret(RotateSecret { named, overlap }) => {
                let (session, found) = named.found().await?;
                if found.token_id.is_empty() {
                    let name = super::deliveries::named(&found.name, &found.destination_id);
                    return Err(usage(format!(
                        "the requests of {name} are not signed; leadline tokens create NAME --assign {} signs them",
                        found.destination_id
                    )));
                }
                rotate(&session, found.account_id, found.token_id, &overlap).await
            }
            Verb::Test(trial) => trial.run().await,
            Verb::TestCondition(test) => test.run().await,
            Verb::Events(events) => events.run().await,
            Verb::Delete(named) => {
                let (session, found) = named.found().await?;
                let text =
                    format!("Destination {} is deleted.", super::deliveries::named(&found.name, &found.destination_id));
                let (account_id, destination_id) = (found.account_id, found.destination_id);
                let request = api::DeleteDestinationRequest { account_id, destination_id };
                let deleted = session.registry().delete_destination(within(request)).await?.into_inner();
                session.done(&deleted, &text)
            }
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let mut destination = api::Destination::default();
        self.settings.apply(&mut destination)?;
        if destination.url.is_empty() {
            return Err(usage("--url is missing: give the URL of the receiver"));
        }
        let session = self.remote.connect().await?;
        if destination.account_id.is_empty() || self.account.is_given() {
            destination.account_id = session.account(&self.account).await?;
        }
        let request_id = self.request_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let request =
            api::CreateDestinationRequest { destination: Some(destination), request_id, ..Default::default() };
        let made = session.registry().create_destination(within(request)).await?.into_inner();
        warn(&made);
        show(&session, &made)
    }
}

impl Update {
    async fn run(self) -> anyhow::Result<()> {
        let mut destination = api::Destination::default();
        let update_mask = Some(mask(&self.settings.apply(&mut destination)?)?);
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let found = session.destination(&account_id, &self.destination).await?;
        let destination = api::Destination { account_id, destination_id: found.destination_id, ..destination };
        let request =
            api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
        let updated = session.registry().update_destination(within(request)).await?.into_inner();
        warn(&updated);
        show(&session, &updated)
    }
}

impl Events {
    async fn run(&self) -> anyhow::Result<()> {
        let (session, found) = self.named.found().await?;
        let request = api::ListDestinationEventsRequest {
            account_id: found.account_id,
            destination_id: found.destination_id,
            limit: self.limit,
            page_token: String::new(),
        };
        let listed = session.deliveries().list_destination_events(within(request)).await?.into_inner();
        let columns = [
            fixed("STARTED"),
            fixed("LEVEL"),
            fixed("DELIVERY"),
            flexible("LEAD"),
            fixed("TOOK"),
            fixed("ANSWER"),
            wrapped("SAID"),
        ];
        let row = |event: &api::DestinationEvent| {
            let attempt = event.attempt.clone().unwrap_or_default();
            vec![
                shown(attempt.started_at.as_ref()).into(),
                level(event.level()),
                event.delivery_id.as_str().into(),
                event.lead_id.as_str().into(),
                lasted(attempt.duration.as_ref()).into(),
                answer(attempt.http_status_code, &attempt.error_kind).into(),
                attempt.webhook_response.as_str().into(),
            ]
        };
        session.list_all(columns, row, &listed.events)
    }
}

fn level(level: api::EventLevel) -> Cell {
    let word = level.as_str_name().trim_start_matches("EVENT_LEVEL_").to_lowercase();
    let tone = match level {
        api::EventLevel::Error => Tone::Bad,
        api::EventLevel::Success => Tone::Good,
        api::EventLevel::Debug => Tone::Waiting,
        api::EventLevel::Unspecified => Tone::Plain,
    };
    Cell::toned(word, tone)
}
