//! `leadline explain`: shows why a destination got the events of a lead, or did not.

use api::RoutingOutcome;
use clap::Args;

use super::deliveries::{destination_id, status_cell};
use crate::{
    remote::session::{ForAccount, Remote, within},
    terminal::{
        errors::usage,
        output::{note, print},
        table::{Cell, Table, Tone, fixed, print_facts, wrapped},
        time_args::shown,
    },
};

/// Explain why a destination got the events of a lead, or did not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  leadline explain ada CRM\n  leadline explain --event 0198c1de CRM")]
pub(crate) struct Explain {
    /// The lead; leave it out with --event
    #[arg(value_name = "LEAD")]
    lead: Option<String>,
    /// The destination: its id or its name
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,
    /// Explain this event alone
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Explain {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // With --event, the only argument is the destination.
        let (lead, destination) = match (&self.event, &self.lead, &self.destination) {
            (Some(_), Some(only), None) => (String::new(), only),
            (None, Some(lead), Some(destination)) => (lead.clone(), destination),
            (Some(_), ..) => return Err(usage("give the destination and either a lead or --event, not both")),
            (None, ..) => return Err(usage("give a destination, and either a lead or --event ID")),
        };
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let request = api::ExplainRoutingRequest {
            account_id,
            destination_id: destination_id(&session, &self.account, destination).await?,
            event_id: self.event.clone().unwrap_or_default(),
            lead_id: lead,
        };
        let answer = session.routing().explain_routing(within(request)).await?.into_inner();
        if session.out.is_json() {
            return session.out.json(&answer);
        }
        for (index, of_event) in answer.explanations.iter().enumerate() {
            if index > 0 {
                print("")?;
            }
            let delivery = of_event.delivery.clone().unwrap_or_default();
            let now = match of_event.routed_now == of_event.routed {
                true => "",
                false if of_event.routed_now => "the destination would get it with the current configuration",
                false => "the destination would not get it with the current configuration",
            };
            let mut facts = vec![
                ("event", format!("{} ({})", of_event.event_id, of_event.event_type).into()),
                ("received", shown(of_event.received_at.as_ref()).into()),
                ("summary", of_event.summary.as_str().into()),
                ("now", now.into()),
            ];
            if !delivery.delivery_id.is_empty() {
                facts.push(("delivery", delivery.delivery_id.as_str().into()));
                facts.push(("status", status_cell(delivery.status())));
            }
            print_facts(&session.out, facts)?;
            print("")?;
            let rows: Vec<_> = of_event.answers.iter().map(row).collect();
            Table::new([fixed("RULE"), fixed("ANSWER"), wrapped("REASON")]).print(&session.out, &rows)?;
        }
        if answer.more {
            note("The lead has older events: --event ID explains one of them.");
        }
        Ok(())
    }
}

fn row(answer: &api::RoutingAnswer) -> Vec<Cell> {
    let rule = answer.rule().as_str_name().trim_start_matches("ROUTING_RULE_").to_lowercase().replace('_', " ");
    let outcome = match answer.outcome() {
        RoutingOutcome::Yes => Cell::toned("yes", Tone::Good),
        RoutingOutcome::No => Cell::toned("no", Tone::Bad),
        RoutingOutcome::NotAsked | RoutingOutcome::Unspecified => "-".into(),
    };
    vec![rule.into(), outcome, answer.reason.as_str().into()]
}
