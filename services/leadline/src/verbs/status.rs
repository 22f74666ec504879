//! `leadline status`: how much waits, and where.

use clap::Args;
use wire::api;

use crate::{
    moments::shown,
    out::print,
    remote::{Remote, within},
    table::{Table, fixed, flexible, print_facts},
};

/// Show how much waits, and where.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  leadline status --top 5")]
pub(crate) struct Status {
    /// How many destinations with parked work to name
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    top: u32,
    #[command(flatten)]
    remote: Remote,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let request = api::GetStatusRequest { top: self.top };
        let status = session.status().get_status(within(request)).await?.into_inner();
        if session.out.is_json() {
            return session.out.json(&status);
        }
        let switched_off = (status.destinations_deactivated, status.destinations_disabled);
        let mut facts = vec![("at", shown(status.at.as_ref()).into())];
        if status.troubles.is_empty() {
            facts.push(("trouble", "none".into()));
        }
        facts.extend(status.troubles.iter().map(|t| ("trouble", format!("{}: {}", t.part, t.text).into())));
        facts.extend([
            ("parked", format!("{} for {} destinations", status.parked, status.parked_destinations).into()),
            ("retries waiting", status.timers_pending.into()),
            ("in order", status.in_order.into()),
            (
                "destinations",
                format!("{}: {} deactivated, {} disabled", status.destinations, switched_off.0, switched_off.1).into(),
            ),
            ("unreadable", status.poisoned.into()),
            ("healed by the audit", (status.healed_requests + status.healed_deliveries).into()),
        ]);
        print_facts(&session.out, facts)?;
        print("")?;
        let row = |lag: &api::ConsumerLag| {
            vec![lag.name.as_str().into(), lag.stream.as_str().into(), lag.waiting.into(), lag.in_hand.into()]
        };
        let columns = [fixed("WHO"), fixed("STREAM"), fixed("WAITING"), fixed("IN HAND")];
        Table::new(columns).print(&session.out, &status.lags.iter().map(row).collect::<Vec<_>>())?;
        if status.most_parked.is_empty() {
            return Ok(());
        }
        print("")?;
        let row = |parked: &api::ParkedDestination| {
            vec![
                parked.destination_id.as_str().into(),
                parked.account_id.as_str().into(),
                parked.name.as_str().into(),
                parked.state.as_str().into(),
                parked.parked.into(),
            ]
        };
        let columns = [fixed("DESTINATION"), flexible("ACCOUNT"), flexible("NAME"), fixed("STATE"), fixed("PARKED")];
        Table::new(columns).print(&session.out, &status.most_parked.iter().map(row).collect::<Vec<_>>())
    }
}
