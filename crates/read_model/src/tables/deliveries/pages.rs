//! Lists of deliveries, the newest first, page by page.
//!
//! Each list is read in the order of one index, from the end of the previous page on. This module chooses the index,
//! because the database cannot know how rare a value is. Conditions that another index could serve are written so that
//! no index serves them ([`unindexed`]). If a filter has several values, one query reads each, and the results are
//! merged.

use domain::{
    AccountId, ClientId, Delivery, DeliveryStatus, DestinationId, EventId, EventType, InterfaceId, LeadId, Registry,
    delivery::FailureReason, registry::AccountEntry,
};

pub use domain::delivery::DeliveryFilter;

use crate::{
    error::StoreError,
    page::Page,
    sql::{self, Condition, Statement, Value},
    store::Store,
    tables::{
        deliveries::{COLUMNS, from_row},
        values::Chosen,
    },
};

/// A pattern is resolved to the event types of an account if it has at most this many; otherwise the rows are compared
/// with the pattern.
const MAX_TYPES: usize = 64;

/// The condition of a branch for one event type.
const OF_TYPE: &str = "event_type = ?";

/// The column of leads, and the beginning of the condition of a branch for named leads.
const LEAD: &str = "lead";
const OF_NAMED: &str = "lead IN (";

/// A query that one index answers.
pub(crate) type Branch = Vec<Condition>;

/// At most this many switched-off destinations are passed to the database: each is a value of the statement, and SQLite
/// binds at most 32,766. Waiting deliveries of further destinations are listed with their stored status.
const MAX_OFF: usize = 10_000;

/// The destinations of a filter that are switched off. Their waiting deliveries are shown as held, although their rows
/// have another status: otherwise each change of a switch would have to update many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchedOff {
    retrying: Places,
    pending: Places,
}

/// Some of the destinations of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Places {
    Nowhere,
    Everywhere,
    At(Vec<DestinationId>),
}

impl SwitchedOff {
    /// No destination is off, or the filter does not depend on it.
    pub const NOWHERE: Self = Self { retrying: Places::Nowhere, pending: Places::Nowhere };

    /// The destinations that concern a filter.
    pub fn among(filter: &DeliveryFilter, registry: &Registry) -> Self {
        if filter.statuses.is_empty() {
            return Self::NOWHERE;
        }
        if let Some(destination) = &filter.destination {
            let switch = registry.switch(destination);
            let places = |status: DeliveryStatus| match status.at_destination(switch) {
                DeliveryStatus::Held => Places::Everywhere,
                _ => Places::Nowhere,
            };
            return Self { retrying: places(DeliveryStatus::Retrying), pending: places(DeliveryStatus::Pending) };
        }
        let of_account = |account: &AccountEntry| filter.account.as_ref().is_none_or(|id| *id == account.account.id);
        let accounts = registry.accounts().filter(|account| of_account(account));
        let existing = accounts.flat_map(|account| account.destinations()).filter(|destination| !destination.deleted);
        let off: Vec<_> = existing.filter(|destination| destination.is_off()).take(MAX_OFF).collect();
        let places = |status: DeliveryStatus| {
            let held = off.iter().filter(|d| status.at_destination(d.switch()) == DeliveryStatus::Held);
            let held: Vec<_> = held.map(|destination| destination.id.clone()).collect();
            if held.is_empty() { Places::Nowhere } else { Places::At(held) }
        };
        Self { retrying: places(DeliveryStatus::Retrying), pending: places(DeliveryStatus::Pending) }
    }

    /// Limits the rows with the stored `status` to the destinations where they are shown with a wanted status; `None`
    /// if no such row is shown.
    fn condition(&self, status: DeliveryStatus, wanted: &[DeliveryStatus]) -> Option<Condition> {
        let places = match status {
            DeliveryStatus::Retrying => &self.retrying,
            DeliveryStatus::Pending => &self.pending,
            _ => &Places::Nowhere,
        };
        let (elsewhere, at_these) = (wanted.contains(&status), wanted.contains(&DeliveryStatus::Held));
        let anywhere = (String::new(), vec![]);
        match places {
            Places::Nowhere => elsewhere.then_some(anywhere),
            Places::Everywhere => at_these.then_some(anywhere),
            Places::At(_) if elsewhere == at_these => elsewhere.then_some(anywhere),
            Places::At(off) => {
                let (which, places) = (if elsewhere { "NOT IN" } else { "IN" }, vec!["?"; off.len()].join(", "));
                let ids = off.iter().map(|id| id.as_str().into()).collect();
                Some((format!("(destination || '') {which} ({places})"), ids))
            }
        }
    }

    /// One value of each kind, for the tests of query plans.
    #[cfg(test)]
    pub(crate) fn kinds(some: &[DestinationId]) -> [Self; 4] {
        let (retrying, pending) = (Places::At(some.to_vec()), Places::At(some.to_vec()));
        [
            Self::NOWHERE,
            Self { retrying: Places::Everywhere, pending: Places::Everywhere },
            Self { retrying: retrying.clone(), pending: Places::Nowhere },
            Self { retrying, pending },
        ]
    }
}

impl Store {
    /// Deliveries, the newest first.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &Page,
        off: &SwitchedOff,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.deliveries_among(&Chosen::default(), filter, page, off).await
    }

    /// Deliveries of chosen leads, the newest first.
    pub async fn deliveries_among(
        &self,
        chosen: &Chosen,
        filter: &DeliveryFilter,
        page: &Page,
        off: &SwitchedOff,
    ) -> Result<Vec<Delivery>, StoreError> {
        if chosen.is_nobody() {
            return Ok(vec![]);
        }
        let types = self.types(filter).await?;
        let branches = branches_among(filter, types, off, chosen);
        let mut found = vec![];
        let several = branches.len() > 1;
        for branch in branches {
            let rows = self.fetch_all(select(filter, page, branch)).await?;
            for row in &rows {
                found.push(from_row(row)?);
            }
        }
        found.retain(|delivery| is_of_account(filter, delivery));
        if several {
            found.sort_by_key(|d| std::cmp::Reverse((d.requested_at, d.reference.delivery)));
            found.truncate(usize::try_from(page.limit()).unwrap_or(usize::MAX));
        }
        Ok(found)
    }

    /// The event types that match the pattern, if the list is read by event type. Finding each type takes one look-up
    /// in the index.
    async fn types(&self, filter: &DeliveryFilter) -> Result<Option<Vec<String>>, StoreError> {
        let (Some(account), Some(pattern)) = (&filter.account, &filter.event_type) else { return Ok(None) };
        if pattern.as_str() == "*" || !is_read_by_type(filter) {
            return Ok(None);
        }
        if !pattern.as_str().ends_with('*') {
            return Ok(Some(vec![pattern.as_str().to_owned()]));
        }
        let (mut types, mut after) = (vec![], String::new());
        for _ in 0..MAX_TYPES {
            let mut select = Statement::new("SELECT MIN(event_type) AS event_type FROM deliveries");
            select.push(" WHERE account = ? AND event_type > ?", [account.as_str().into(), after.into()]);
            let row = self.fetch_one(select).await?;
            // The order of the types does not matter; only completeness does.
            let Some(next) = sql::text_or_none(&row, "event_type")? else { return Ok(Some(types)) };
            after = next.clone();
            if EventType::parse(&next).is_ok_and(|next| pattern.matches(&next)) {
                types.push(next);
            }
        }
        Ok(None)
    }
}

/// Compares the account here and not in the database: with a condition on a computed value, PostgreSQL expects few
/// rows, reads all of them, and sorts them. No page gets shorter, because all deliveries to a destination belong to one
/// account.
pub(crate) fn is_of_account(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    filter.account.as_ref().is_none_or(|account| *account == delivery.reference.account)
}

/// Whether the event type is the rarest condition of the filter.
fn is_read_by_type(filter: &DeliveryFilter) -> bool {
    let rarer = filter.event_id.is_some() || filter.lead.is_some() || filter.destination.is_some();
    !rarer && open_statuses(filter).is_none()
}

/// The wanted statuses, if `succeeded` is not one of them: the other statuses have indexes of their own.
fn open_statuses(filter: &DeliveryFilter) -> Option<Vec<DeliveryStatus>> {
    let all_open = || DeliveryStatus::ALL.into_iter().filter(|status| *status != DeliveryStatus::Succeeded);
    let mut wanted = filter.statuses.clone();
    if filter.is_of_failed_attempts() {
        // The last attempt of a delivery that succeeded was answered with success.
        wanted = if wanted.is_empty() { all_open().collect() } else { wanted };
        wanted.retain(|status| *status != DeliveryStatus::Succeeded);
    } else if filter.failure.is_some() && wanted.is_empty() {
        wanted = vec![DeliveryStatus::Failed];
    }
    let is_limited = !filter.statuses.is_empty() || !wanted.is_empty();
    (is_limited && !wanted.contains(&DeliveryStatus::Succeeded)).then_some(wanted)
}

/// The queries of a filter, each answered in the order of one index.
pub(crate) fn branches(filter: &DeliveryFilter, types: Option<Vec<String>>, off: &SwitchedOff) -> Vec<Branch> {
    if let Some(event) = &filter.event_id {
        return vec![vec![is("event_id", event.as_str()), any_status(filter, off)]];
    }
    if let Some(lead) = &filter.lead {
        return vec![vec![is("lead", lead.as_str()), any_status(filter, off)]];
    }
    let scope = match (&filter.destination, &filter.account) {
        (Some(destination), _) => Some(is("destination", destination.as_str())),
        (None, Some(account)) => Some(is("account", account.as_str())),
        (None, None) => None,
    };
    if let Some(wanted) = open_statuses(filter) {
        let open = |status: DeliveryStatus| {
            // Statuses are constants and not bound values, so that the database recognises the partial index.
            let index = if scope.is_some() { "status <> 'succeeded'" } else { "at_succeeded = 0" };
            let open = (format!("status = '{}' AND {index}", status.as_str()), vec![]);
            let condition = off.condition(status, &wanted)?;
            Some(scope.iter().cloned().chain([open, condition]).collect())
        };
        let stored = DeliveryStatus::ALL.into_iter().filter(|status| *status != DeliveryStatus::Succeeded);
        return stored.filter_map(open).collect();
    }
    if let Some(types) = types {
        let of_type =
            |text: String| scope.iter().cloned().chain([is("event_type", &text), any_status(filter, off)]).collect();
        return types.into_iter().map(of_type).collect();
    }
    vec![scope.into_iter().chain([any_status(filter, off)]).collect()]
}

/// The queries of a filter for deliveries of chosen leads. If the leads are named, their deliveries are found by lead,
/// and the database sorts them.
pub(crate) fn branches_among(
    filter: &DeliveryFilter,
    types: Option<Vec<String>>,
    off: &SwitchedOff,
    among: &Chosen,
) -> Vec<Branch> {
    let mut branches = match among.named(LEAD) {
        Some(named) => vec![vec![named, any_status(filter, off)]],
        None => branches(filter, types, off),
    };
    branches.iter_mut().for_each(|branch| branch.extend(among.comparisons("deliveries")));
    branches
}

pub(crate) fn select(filter: &DeliveryFilter, page: &Page, branch: Branch) -> Statement {
    let is_sorted = branch.iter().any(|(text, _)| text.starts_with(OF_NAMED));
    let requested_at = if is_sorted { "(requested_at + 0)" } else { "requested_at" };
    let mut select = chosen(filter, branch);
    if let Some(from) = filter.requested_from {
        select.push(&format!("{requested_at} >= ? AND "), [from.into()]);
    }
    // Page and filter result in one bound: with two bounds, the database would begin to read at the wrong one.
    let after = page.after().map(|after| (after.at, after.id.as_str()));
    let before = filter.requested_before.map(|before| (before.as_microsecond(), ""));
    let (at, id) = after.into_iter().chain(before).min().unwrap_or((i64::MAX, ""));
    select.push(&format!("({requested_at}, delivery) < (?, ?)"), [at.into(), id.into()]);
    select.push(&format!(" ORDER BY {requested_at} DESC, delivery DESC LIMIT ?"), [page.limit().into()]);
    select
}

/// The statement with all conditions except those of time and position, which the caller has to add.
pub(crate) fn chosen(filter: &DeliveryFilter, branch: Branch) -> Statement {
    let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE ", COLUMNS.join(", ")));
    let others = others(filter, &branch);
    let conditions: Vec<_> = branch.into_iter().chain(others).filter(|(text, _)| !text.is_empty()).collect();
    for (condition, values) in conditions {
        select.push(&condition, values).push(" AND ", []);
    }
    select
}

/// The conditions that are not in the branch, written so that no index serves them.
fn others(filter: &DeliveryFilter, branch: &Branch) -> Vec<Condition> {
    let has = |condition: &str| branch.iter().any(|(text, _)| text == condition);
    let event = filter.event_id.as_ref().filter(|_| !has("event_id = ?"));
    let destination = filter.destination.as_ref().filter(|_| !has("destination = ?"));
    let account = filter.account.as_ref().filter(|_| !has("account = ?") && filter.destination.is_none());
    let texts = [
        ("account", account.map(AccountId::as_str)),
        ("interface", filter.interface.as_ref().map(InterfaceId::as_str)),
        ("client", filter.client.as_ref().map(ClientId::as_str)),
        ("destination", destination.map(DestinationId::as_str)),
        ("lead", filter.lead.as_ref().map(LeadId::as_str)),
        ("event_id", event.map(EventId::as_str)),
        ("failure", filter.failure.map(FailureReason::as_str)),
    ];
    let mut others: Vec<_> = texts.into_iter().filter_map(|(column, text)| Some(unindexed(column, text?))).collect();
    if let Some(status) = filter.http_status {
        others.push(("last_status = ?".to_owned(), vec![u32::from(status).into()]));
    }
    if let Some(class) = filter.http_status_class {
        let (first, last) = class.statuses().into_inner();
        let range = vec![u32::from(first).into(), u32::from(last).into()];
        others.push(("(last_status + 0) BETWEEN ? AND ?".to_owned(), range));
    }
    match filter.event_type.as_ref().map(|pattern| (pattern.as_str(), pattern.as_str().strip_suffix('*'))) {
        _ if has(OF_TYPE) => {}
        Some((exact, None)) => others.push(unindexed("event_type", exact)),
        Some((_, Some(beginning))) if !beginning.is_empty() => {
            others.push((format!("substr(event_type, 1, {}) = ?", beginning.len()), vec![beginning.into()]));
        }
        _ => {}
    }
    others
}

/// The condition that the shown status is a wanted one; no index serves it.
fn any_status(filter: &DeliveryFilter, off: &SwitchedOff) -> Condition {
    if filter.statuses.is_empty() {
        return (String::new(), vec![]);
    }
    let (mut texts, mut values): (Vec<_>, Vec<Value>) = (vec![], vec![]);
    for status in DeliveryStatus::ALL {
        let Some((condition, ids)) = off.condition(status, &filter.statuses) else { continue };
        let and = if condition.is_empty() { "" } else { " AND " };
        texts.push(format!("((status || '') = ?{and}{condition})"));
        values.extend([status.as_str().into()].into_iter().chain(ids));
    }
    let any = if texts.is_empty() { "1 = 0".to_owned() } else { texts.join(" OR ") };
    (format!("({any})"), values)
}

fn is(column: &str, text: &str) -> Condition {
    (format!("{column} = ?"), vec![text.into()])
}

/// The same condition on a computed value, which no index serves.
fn unindexed(column: &str, text: &str) -> Condition {
    (format!("({column} || '') = ?"), vec![text.into()])
}
