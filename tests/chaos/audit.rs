//! Held against each other: what was accepted and wanted, what was received, what the read model shows, what was mailed,
//! and what a read model shows that is made anew.

use std::collections::{BTreeMap, HashMap, HashSet};

use api::{Delivery, DeliveryStatus};
use testkit::{postgres, wait};

use crate::{
    ledger::{Duplicate, Ledger},
    shown::{self, owner},
    stage::{SOON, Stage},
    wants::{Ending, ORDERED, PLAIN},
};

/// How many examples of each kind of fault are told.
const TOLD: usize = 5;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) wanted: usize,
    pub(crate) lost: usize,
    pub(crate) duplicates: Vec<Duplicate>,
    pub(crate) mails: usize,
    pub(crate) rows: usize,
    /// What is wrong; none: everything is as it should be.
    pub(crate) faults: Vec<String>,
}

/// Compares everything; nothing may be under way any more.
pub(crate) async fn compare(stage: &Stage, ledger: &Ledger, ids: &HashMap<&'static str, String>) -> Findings {
    let mut findings = Findings { duplicates: ledger.duplicates(), ..Findings::default() };
    let lost = ledger.lost();
    findings.lost = lost.len();
    findings.tell("accepted, wanted and never delivered", &lost);
    findings.tell("received by whom it was not for", &ledger.unwanted());
    findings.tell("in another order than published", &ledger.out_of_order());
    let shown = shown::deliveries(stage).await;
    for duplicate in findings.duplicates.iter_mut().filter(|duplicate| duplicate.because_of.is_none()) {
        let id = &ids[duplicate.destination];
        let delivery = shown.iter().find(|d| d.destination_id == *id && d.event_id == duplicate.event);
        if let Some(delivery) = delivery
            && shown::went_without_answer(stage, &delivery.delivery_id).await
        {
            duplicate.because_of = Some("an answer that came too late".to_owned());
        }
    }
    let unexplained = |duplicate: &&Duplicate| duplicate.because_of.is_none();
    let unexplained: Vec<_> = findings.duplicates.iter().filter(unexplained).cloned().collect();
    findings.tell("delivered again although nobody had died", &unexplained);
    findings.compare_shown(ledger, ids, &shown);
    findings.compare_mails(stage, &shown);
    let events = ledger.wanted().into_iter().map(|(_, event)| (event.account, event.lead));
    let leads: HashSet<_> = events.collect();
    for account in [PLAIN, ORDERED] {
        let expected = leads.iter().filter(|(of, _)| *of == account).count();
        let found = shown::count_leads(stage, account).await;
        if found != expected {
            findings.faults.push(format!("{account}: {found} leads in the read model instead of {expected}"));
        }
    }
    let status = wait::attempt(SOON, async || shown::status(stage.api()).await).await;
    let poisoned = status.map(|status| status.poisoned);
    if poisoned != Ok(0) {
        findings.faults.push(format!("messages that nobody can read: {poisoned:?}"));
    }
    findings.faults.extend(stage.trouble());
    findings.compare_rebuilt(stage).await;
    findings
}

impl Findings {
    fn tell<T: std::fmt::Debug>(&mut self, what: &str, found: &[T]) {
        if !found.is_empty() {
            let examples = &found[..found.len().min(TOLD)];
            self.faults.push(format!("{} {what}, such as {examples:?}", found.len()));
        }
    }

    /// Each event and each destination that wants it have exactly one delivery, and it has ended as it has to.
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
        self.tell("deliveries are not in the read model as they should be", &wrong);
        if shown.len() != wanted.len() {
            self.faults.push(format!("{} deliveries in the read model instead of {}", shown.len(), wanted.len()));
        }
    }

    /// The owner of an account has a mail about each delivery that failed.
    fn compare_mails(&mut self, stage: &Stage, shown: &[Delivery]) {
        let mails = stage.mails();
        self.mails = mails.len();
        let failed = shown.iter().filter(|delivery| delivery.status() == DeliveryStatus::Failed);
        let untold = failed.filter(|delivery| {
            let owner = owner(&delivery.account_id);
            !mails.iter().any(|mail| mail.to.contains(&owner) && mail.raw.contains(&delivery.delivery_id))
        });
        let untold: Vec<_> = untold.map(|delivery| &delivery.delivery_id).collect();
        self.tell("failures of which nobody was told", &untold);
    }

    /// The same rows in every table.
    async fn compare_rebuilt(&mut self, stage: &Stage) {
        let rebuilt = stage.rebuilt().await;
        let (projected, rebuilt) = (rows(&stage.database_url).await, rows(&rebuilt).await);
        self.rows = projected.values().map(Vec::len).sum();
        for (table, rows) in &projected {
            let (ours, anew): (HashSet<_>, HashSet<_>) = (rows.iter().collect(), rebuilt[table].iter().collect());
            let different: Vec<_> = ours.symmetric_difference(&anew).collect();
            self.tell(&format!("rows of {table} are not the same when they are made anew"), &different);
        }
    }
}

/// The rows of the read model. When the tables were made, and which process prunes them, is not part of it.
async fn rows(database: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = postgres::rows(database).await;
    rows.retain(|table, _| !table.starts_with("_sqlx") && table != "leases");
    rows
}
