//! Compares accepted and wanted events, received requests, the read model, mails, and a rebuilt read model.

use std::collections::{BTreeMap, HashMap, HashSet};

use api::{Delivery, DeliveryStatus};
use testkit::{postgres, wait};

use crate::{
    expectations::{Ending, ORDERED, PLAIN},
    ledger::{Duplicate, Ledger},
    program::SOON,
    read_back::{self, owner},
    stage::Stage,
};

/// The number of examples for each kind of fault.
const MAX_EXAMPLES: usize = 5;

/// The result of the comparison.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) wanted: usize,
    pub(crate) lost: usize,
    pub(crate) duplicates: Vec<Duplicate>,
    pub(crate) mails: usize,
    pub(crate) rows: usize,
    /// The faults; empty if there are none.
    pub(crate) faults: Vec<String>,
}

/// Compares everything. It expects that no delivery is in work.
pub(crate) async fn compare(stage: &Stage, ledger: &Ledger, ids: &HashMap<&'static str, String>) -> Findings {
    let mut findings = Findings { duplicates: ledger.duplicates(), ..Findings::default() };
    let lost = ledger.lost();
    findings.lost = lost.len();
    findings.add_fault("accepted, wanted and never delivered", &lost);
    findings.add_fault("received by a destination that does not want it", &ledger.unwanted());
    findings.add_fault("received in another order than published", &ledger.out_of_order());
    let shown = read_back::deliveries(stage).await;
    for duplicate in findings.duplicates.iter_mut().filter(|duplicate| duplicate.because_of.is_none()) {
        let id = &ids[duplicate.destination];
        let delivery = shown.iter().find(|d| d.destination_id == *id && d.event_id == duplicate.event);
        if let Some(delivery) = delivery
            && read_back::went_without_answer(stage, &delivery.delivery_id).await
        {
            duplicate.because_of = Some("an attempt without an answer".to_owned());
        }
    }
    let unexplained = |duplicate: &&Duplicate| duplicate.because_of.is_none();
    let unexplained: Vec<_> = findings.duplicates.iter().filter(unexplained).cloned().collect();
    findings.add_fault("delivered again although no process was away", &unexplained);
    findings.compare_shown(ledger, ids, &shown);
    findings.compare_mails(stage, &shown);
    let events = ledger.wanted().into_iter().map(|(_, event)| (event.account, event.lead));
    let leads: HashSet<_> = events.collect();
    for account in [PLAIN, ORDERED] {
        let expected = leads.iter().filter(|(of, _)| *of == account).count();
        let found = read_back::count_leads(stage, account).await;
        if found != expected {
            findings.faults.push(format!("{account}: {found} leads in the read model instead of {expected}"));
        }
    }
    let status = wait::attempt(SOON, async || read_back::status(stage.api()).await).await;
    let poisoned = status.map(|status| status.poisoned);
    if poisoned != Ok(0) {
        findings.faults.push(format!("unreadable messages in quarantine: {poisoned:?}"));
    }
    findings.faults.extend(stage.trouble());
    findings.compare_rebuilt(stage).await;
    findings
}

impl Findings {
    fn add_fault<T: std::fmt::Debug>(&mut self, what: &str, found: &[T]) {
        if !found.is_empty() {
            let examples = &found[..found.len().min(MAX_EXAMPLES)];
            self.faults.push(format!("{} {what}, such as {examples:?}", found.len()));
        }
    }

    /// Each event has exactly one delivery, with the right status, for each destination that wants it.
    fn compare_shown(&mut self, ledger: &Ledger, ids: &HashMap<&'static str, String>, shown: &[Delivery]) {
        let wanted = ledger.wanted();
        self.wanted = wanted.len();
        let mut of_read_model: HashMap<(&str, &str), Vec<&Delivery>> = HashMap::new();
        for delivery in shown {
            of_read_model.entry((&delivery.destination_id, &delivery.event_id)).or_default().push(delivery);
        }
        let wrong = wanted.iter().filter_map(|(want, event)| {
            let found = of_read_model.get(&(ids[want.name].as_str(), event.id.as_str())).map_or(&[][..], Vec::as_slice);
            let right = match want.ends {
                Ending::Succeeded => DeliveryStatus::Succeeded,
                Ending::Failed => DeliveryStatus::Failed,
                Ending::Held => DeliveryStatus::Held,
            };
            let statuses: Vec<_> = found.iter().map(|delivery| delivery.status()).collect();
            let named = want.ends != Ending::Failed || found.iter().all(|d| d.failure_reason == "exhausted");
            (statuses != [right] || !named).then(|| (want.name, event.id.clone(), statuses))
        });
        let wrong: Vec<_> = wrong.collect();
        self.add_fault("wrong deliveries in the read model", &wrong);
        if shown.len() != wanted.len() {
            self.faults.push(format!("{} deliveries in the read model instead of {}", shown.len(), wanted.len()));
        }
    }

    /// The owner of an account gets a mail about each failed delivery.
    fn compare_mails(&mut self, stage: &Stage, shown: &[Delivery]) {
        let mails = stage.mails();
        self.mails = mails.len();
        let failed = shown.iter().filter(|delivery| delivery.status() == DeliveryStatus::Failed);
        let unreported = failed.filter(|delivery| {
            let owner = owner(&delivery.account_id);
            !mails.iter().any(|mail| mail.to.contains(&owner) && mail.raw.contains(&delivery.delivery_id))
        });
        let unreported: Vec<_> = unreported.map(|delivery| &delivery.delivery_id).collect();
        self.add_fault("failures without a mail", &unreported);
    }

    /// Rebuilds the read model, and compares the rows of every table.
    async fn compare_rebuilt(&mut self, stage: &Stage) {
        let rebuilt = stage.rebuilt().await;
        let (projected, rebuilt) = (rows(&stage.database_url).await, rows(&rebuilt).await);
        self.rows = projected.values().map(Vec::len).sum();
        for (table, rows) in &projected {
            let (ours, again): (HashSet<_>, HashSet<_>) = (rows.iter().collect(), rebuilt[table].iter().collect());
            let different: Vec<_> = ours.symmetric_difference(&again).collect();
            self.add_fault(&format!("rows of {table} differ after a rebuild"), &different);
        }
    }
}

/// The rows of the read model, without the times of migrations and the leases of processes.
async fn rows(database: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = postgres::rows(database).await;
    rows.retain(|table, _| !table.starts_with("_sqlx") && table != "leases");
    rows
}
