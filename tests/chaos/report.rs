//! The report of a run: a printed table, and JSON in the folder that `LEADLINE_CHAOS_REPORT` names.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{audit::Findings, ledger::Ledger};

/// The variable with the folder for the report.
const FOLDER: &str = "LEADLINE_CHAOS_REPORT";
/// The maximum number of examples of repeats.
const MAX_REPEATS: usize = 20;

/// The settings and the result of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) gave_up: usize,
    pub(crate) findings: Findings,
}

/// The figures about the kills of one process.
#[derive(Debug, Default, Clone, Copy)]
struct Deaths {
    count: usize,
    /// The longest time from its restart until all events accepted by then were delivered, while no other process was
    /// away. `None` if it was never away alone.
    recovery: Option<Duration>,
    /// The longest time from its restart until it was ready.
    ready: Duration,
    duplicates: usize,
}

impl Report {
    /// Prints and writes the report. Panics if there are faults.
    pub(crate) fn tell(&self, ledger: &Ledger) {
        let deaths = deaths(ledger, &self.findings);
        println!("{}", self.table(ledger, &deaths));
        if let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) {
            let file = folder.join(format!("{}.json", self.name.replace(' ', "-")));
            let text = format!(
                "{:#}
",
                self.json(ledger, &deaths)
            );
            let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text));
            written.unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
        }
        let faults = self.findings.faults.join("\n");
        assert!(faults.is_empty(), "{}; repeat with LEADLINE_CHAOS_SEED={}:\n{faults}", self.name, self.seed);
    }

    fn table(&self, ledger: &Ledger, deaths: &BTreeMap<String, Deaths>) -> String {
        let found = &self.findings;
        let mut text = format!(
            "\nchaos: {}, seed {}, {:.0} s\n  accepted {}, wanted {}, received {}, LOST {}, delivered again {} (unexplained {})\n  \
             mails {}, rows of the read model {} (equal after a rebuild unless a fault says otherwise), starts given up {}\n\n  \
             {:<20}{:>6}{:>14}{:>16}{:>12}\n",
            self.name,
            self.seed,
            self.took.as_secs_f64(),
            ledger.count_accepted(),
            found.wanted,
            ledger.count_received(),
            found.lost,
            found.duplicates.len(),
            found.duplicates.iter().filter(|duplicate| duplicate.because_of.is_none()).count(),
            found.mails,
            found.rows,
            self.gave_up,
            "killed",
            "times",
            "ready after",
            "all delivered",
            "repeats",
        );
        for (who, deaths) in deaths {
            let recovery = deaths.recovery.map_or("-".to_owned(), |after| format!("{:.2} s", after.as_secs_f64()));
            let ready = format!("{:.2} s", deaths.ready.as_secs_f64());
            text.push_str(&format!(
                "  {who:<20}{:>6}{ready:>14}{recovery:>16}{:>12}\n",
                deaths.count, deaths.duplicates
            ));
        }
        for fault in &found.faults {
            text.push_str(&format!("  FAULT: {fault}\n"));
        }
        text
    }

    fn json(&self, ledger: &Ledger, deaths: &BTreeMap<String, Deaths>) -> Value {
        let found = &self.findings;
        let killed = deaths.iter().map(|(who, deaths)| {
            json!({"who": who, "times": deaths.count, "ready_after_seconds": deaths.ready.as_secs_f64(),
                "all_delivered_after_seconds": deaths.recovery.map(|after| after.as_secs_f64()),
                "repeats": deaths.duplicates})
        });
        let repeats = found.duplicates.iter().take(MAX_REPEATS);
        let repeats = repeats.map(|d| json!({"to": d.destination, "event": d.event, "because_of": d.because_of}));
        json!({
            "run": self.name, "seed": self.seed, "seconds": self.took.as_secs_f64(),
            "accepted": ledger.count_accepted(), "wanted": found.wanted, "received": ledger.count_received(),
            "lost": found.lost, "repeats": found.duplicates.len(), "mails": found.mails,
            "read_model_rows": found.rows, "starts_given_up": self.gave_up,
            "examples_of_repeats": repeats.collect::<Vec<Value>>(),
            "killed": killed.collect::<Vec<Value>>(), "faults": found.faults,
        })
    }
}

fn deaths(ledger: &Ledger, findings: &Findings) -> BTreeMap<String, Deaths> {
    let mut all: BTreeMap<String, Deaths> = BTreeMap::new();
    for outage in ledger.outages() {
        let deaths = all.entry(outage.who.clone()).or_default();
        deaths.count += 1;
        deaths.ready = deaths.ready.max(outage.to - outage.started);
        if outage.alone {
            let after = ledger.all_taken_after(outage.started);
            deaths.recovery = Some(deaths.recovery.map_or(after, |longest| longest.max(after)));
        }
    }
    for duplicate in &findings.duplicates {
        if let Some(deaths) = duplicate.because_of.as_ref().and_then(|who| all.get_mut(who)) {
            deaths.duplicates += 1;
        }
    }
    all
}
