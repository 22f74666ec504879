//! `leadline status`: shows how much waits, where it waits, and what is stored.

use clap::Args;

use crate::{
    remote::session::{Remote, within},
    terminal::{
        output::{Out, note, print},
        table::{Cell, Table, Tone, fixed, flexible, print_facts, wrapped},
        time_args::{ago, days, shown},
    },
};

/// Show how much waits, where it waits, and what is stored.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  leadline status --top 5")]
pub(crate) struct Status {
    /// The maximum number of failing destinations, and of destinations with parked deliveries, to show
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    top: u32,
    /// Explain, below the figures, what each word means
    #[arg(long)]
    explain: bool,
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
            ("last hour", rates(&status).into()),
            ("failing", failing(&status)),
            ("oldest waiting", status.oldest_waiting_at.as_ref().map(|at| ago(Some(at))).unwrap_or_default().into()),
            ("parked", format!("{} for {} destinations", status.parked, status.parked_destinations).into()),
            ("retries waiting", status.timers_pending.into()),
            ("in order", status.in_order.into()),
            (
                "destinations",
                format!("{}: {} deactivated, {} disabled", status.destinations, switched_off.0, switched_off.1).into(),
            ),
            ("unreadable", status.poisoned.into()),
            ("repaired by the reconciler", (status.healed_requests + status.healed_deliveries).into()),
            ("history", days(status.keep_history.as_ref()).into()),
            (
                "database",
                format!("{}, {} of it free", bytes(status.database_bytes), bytes(status.database_free_bytes)).into(),
            ),
        ]);
        print_facts(&session.out, facts)?;
        print_failing(&session.out, &status.most_failing)?;
        print("")?;
        let row = |lag: &api::ConsumerLag| {
            vec![lag.name.as_str().into(), lag.stream.as_str().into(), lag.waiting.into(), lag.in_hand.into()]
        };
        let columns = [fixed("CONSUMER"), fixed("STREAM"), fixed("WAITING"), fixed("IN HAND")];
        Table::new(columns).print(&session.out, &status.lags.iter().map(row).collect::<Vec<_>>())?;
        print("")?;
        let row = |kind: &'static str| {
            move |stored: &api::Stored| {
                let (rows, oldest) = (stored.rows, shown(stored.oldest.as_ref()));
                let figures = [bytes(stored.bytes).into(), bytes(stored.bytes_per_day).into(), oldest.into()];
                [kind.into(), stored.name.as_str().into(), rows.into()].into_iter().chain(figures).collect()
            }
        };
        let stored: Vec<Vec<Cell>> =
            status.streams.iter().map(row("stream")).chain(status.tables.iter().map(row("table"))).collect();
        let columns = ["KIND", "NAME", "ROWS", "SIZE", "ADDED PER DAY", "OLDEST"].map(fixed);
        Table::new(columns).print(&session.out, &stored)?;
        print_parked(&session.out, &status.most_parked)?;
        if self.explain {
            print("")?;
            print_facts(&session.out, WORDS.map(|(word, meaning)| (word, meaning.into())).into())?;
        } else {
            note("leadline status --explain says what each word means.");
        }
        Ok(())
    }
}

/// The words of the status and their meanings.
const WORDS: [(&str, &str); 14] = [
    ("trouble", "a part of the installation that does not work now, and why"),
    ("last hour", "deliveries that ended and attempts that were made in the last hour, or up to five minutes more"),
    ("failing", "destinations that are switched on and whose last three attempts failed"),
    ("oldest waiting", "the age of the oldest delivery that has not ended, held ones too"),
    ("parked", "work that its lane cannot take now: the destination is switched off, slow or away"),
    ("retries waiting", "deliveries whose next attempt waits for its time"),
    ("in order", "deliveries of ordered destinations that have not ended"),
    (
        "deactivated",
        "switched off by a rule, after failures; leadline destinations enable NAME sends the held deliveries",
    ),
    ("disabled", "switched off by a person"),
    ("unreadable", "messages that no process can read; each is set aside with its reason"),
    ("repaired by the reconciler", "deliveries that were lost and requested again; anything but 0 is an alarm"),
    ("history", "how long deliveries that have ended are shown"),
    ("waiting", "messages that no process has received yet; the number shrinks within seconds unless a part is down"),
    ("in hand", "messages that a process has received and not finished"),
];

fn rates(status: &api::GetStatusResponse) -> String {
    let api::GetStatusResponse { succeeded, failed, attempts, failed_attempts, .. } = status;
    format!("{succeeded} deliveries succeeded, {failed} failed; {attempts} attempts, {failed_attempts} of them failed")
}

fn failing(status: &api::GetStatusResponse) -> Cell {
    match status.destinations_failing {
        0 => "none".into(),
        1 => Cell::toned("1 destination", Tone::Bad),
        failing => Cell::toned(format!("{failing} destinations"), Tone::Bad),
    }
}

fn print_failing(out: &Out, failing: &[api::DestinationHealth]) -> anyhow::Result<()> {
    if failing.is_empty() {
        return Ok(());
    }
    print("")?;
    let row = |of: &api::DestinationHealth| {
        vec![
            of.destination_id.as_str().into(),
            of.account_id.as_str().into(),
            of.destination_name.as_str().into(),
            of.failures_in_a_row.into(),
            ago(of.last_success_at.as_ref()).into(),
            (of.waiting + of.held).into(),
            of.lane.clone().unwrap_or_default().summary.into(),
        ]
    };
    let columns = [
        fixed("FAILING"),
        flexible("ACCOUNT"),
        flexible("NAME"),
        fixed("IN A ROW"),
        fixed("LAST SUCCESS"),
        fixed("WAITING"),
        wrapped("LANE"),
    ];
    Table::new(columns).print(out, &failing.iter().map(row).collect::<Vec<_>>())
}

fn print_parked(out: &Out, parked: &[api::ParkedDestination]) -> anyhow::Result<()> {
    if parked.is_empty() {
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
    Table::new(columns).print(out, &parked.iter().map(row).collect::<Vec<_>>())
}

/// Bytes in the largest unit that is at most the number.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (count.max(1).ilog2() / 10).min(4);
    // People need three digits, and a float has more.
    #[allow(clippy::cast_precision_loss)]
    let amount = count as f64 / 1024_f64.powi(unit.cast_signed());
    let name = UNITS[unit as usize];
    if unit == 0 || amount >= 100.0 { format!("{amount:.0} {name}") } else { format!("{amount:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_their_unit() {
        for (count, shown) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (300 << 20, "300 MiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
