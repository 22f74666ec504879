//! Lists of deliveries, the newest first, page by page.
//!
//! Each list is read from one index in its order, from the place on where the page before ended. Which index that is, is
//! decided here and not by the database, who cannot know how rare a value is: conditions that another index could serve
//! are written so that no index serves them ([`but`]). Where several values are asked for, each is read on its own, and
//! what was found is merged.

use domain::{
    AccountId, ClientId, Delivery, DeliveryStatus, DestinationId, EventType, InterfaceId, LeadId,
    delivery::FailureReason,
};

pub(crate) use domain::delivery::DeliveryFilter;

use super::{
    Store, StoreError,
    deliveries::{COLUMNS, from_row},
    sql::{self, Statement, Value},
};
use crate::page::Page;

/// How many event types of an account are looked through for those of a pattern; if it has more, they are looked for row
/// by row.
const MOST_TYPES: usize = 64;

/// A condition and its values.
pub(super) type Condition = (String, Vec<Value>);

/// The condition of a branch that is one event type.
const OF_TYPE: &str = "event_type = ?";

/// What one index is asked for.
pub(super) type Branch = Vec<Condition>;

impl Store {
    /// Deliveries, the newest first.
    pub(crate) async fn deliveries(&self, filter: &DeliveryFilter, page: &Page) -> Result<Vec<Delivery>, StoreError> {
        let types = self.types(filter).await?;
        let branches = branches(filter, types);
        let mut found = vec![];
        let several = branches.len() > 1;
        for branch in branches {
            let rows = select(filter, page, branch).query().fetch_all(&self.pool).await?;
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

    /// The event types that there are of a pattern, if they are what the list is read by; one look into the index each.
    async fn types(&self, filter: &DeliveryFilter) -> Result<Option<Vec<String>>, StoreError> {
        let (Some(account), Some(pattern)) = (&filter.account, &filter.event_type) else { return Ok(None) };
        if pattern.as_str() == "*" || !is_read_by_type(filter) {
            return Ok(None);
        }
        if !pattern.as_str().ends_with('*') {
            return Ok(Some(vec![pattern.as_str().to_owned()]));
        }
        let (mut types, mut after) = (vec![], String::new());
        for _ in 0..MOST_TYPES {
            let mut select = Statement::new("SELECT MIN(event_type) AS event_type FROM deliveries");
            select.push(" WHERE account = ? AND event_type > ?", [account.as_str().into(), after.into()]);
            let row = select.query().fetch_one(&self.pool).await?;
            // In which order they come is the database's matter; that none is left out is not.
            let Some(next) = sql::text_or_none(&row, "event_type")? else { return Ok(Some(types)) };
            after = next.clone();
            if EventType::parse(&next).is_ok_and(|next| pattern.matches(&next)) {
                types.push(next);
            }
        }
        Ok(None)
    }
}

/// All deliveries to a destination are of one account, so that is asked here and not of the database: a condition on a
/// computed value has PostgreSQL expect few rows, read all that there are, and sort them.
pub(super) fn is_of_account(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    filter.account.as_ref().is_none_or(|account| *account == delivery.reference.account)
}

/// Whether the event type is the rarest thing that is asked for.
fn is_read_by_type(filter: &DeliveryFilter) -> bool {
    let rarer = filter.event_id.is_some() || filter.lead.is_some() || filter.destination.is_some();
    !rarer && open_statuses(filter).is_none()
}

/// The statuses that are asked for, if none of them is `succeeded`: these have indexes of their own.
fn open_statuses(filter: &DeliveryFilter) -> Option<Vec<DeliveryStatus>> {
    let all_open = || DeliveryStatus::ALL.into_iter().filter(|status| *status != DeliveryStatus::Succeeded);
    let mut wanted = filter.statuses.clone();
    if filter.http_status.is_some_and(|status| status > 299) {
        // Whatever succeeded was answered with success last.
        wanted = if wanted.is_empty() { all_open().collect() } else { wanted };
        wanted.retain(|status| *status != DeliveryStatus::Succeeded);
    } else if filter.failure.is_some() && wanted.is_empty() {
        wanted = vec![DeliveryStatus::Failed];
    }
    let asked = !filter.statuses.is_empty() || !wanted.is_empty();
    (asked && !wanted.contains(&DeliveryStatus::Succeeded)).then_some(wanted)
}

/// What has to be asked for, so that each question is answered from one index in its order.
pub(super) fn branches(filter: &DeliveryFilter, types: Option<Vec<String>>) -> Vec<Branch> {
    if let Some(event) = &filter.event_id {
        return vec![vec![is("event_id", event.as_str()), any_status(filter)]];
    }
    if let Some(lead) = &filter.lead {
        return vec![vec![is("lead", lead.as_str()), any_status(filter)]];
    }
    let scope = match (&filter.destination, &filter.account) {
        (Some(destination), _) => Some(is("destination", destination.as_str())),
        (None, Some(account)) => Some(is("account", account.as_str())),
        (None, None) => None,
    };
    if let Some(statuses) = open_statuses(filter) {
        let open = |status: DeliveryStatus| {
            // The words are constants; the database finds the index by them.
            let index = if scope.is_some() { "status <> 'succeeded'" } else { "at_succeeded = 0" };
            (format!("status = '{}' AND {index}", status.as_str()), vec![])
        };
        return statuses.into_iter().map(|status| scope.iter().cloned().chain([open(status)]).collect()).collect();
    }
    if let Some(types) = types {
        let of_type =
            |text: String| scope.iter().cloned().chain([is("event_type", &text), any_status(filter)]).collect();
        return types.into_iter().map(of_type).collect();
    }
    vec![scope.into_iter().chain([any_status(filter)]).collect()]
}

pub(super) fn select(filter: &DeliveryFilter, page: &Page, branch: Branch) -> Statement {
    let mut select = chosen(filter, branch);
    if let Some(from) = filter.requested_from {
        select.push("requested_at >= ? AND ", [from.into()]);
    }
    // One bound, whatever it comes from: of two the database would take the wrong one to begin at.
    let after = page.after().map(|after| (after.at, after.id.as_str()));
    let before = filter.requested_before.map(|before| (before.as_microsecond(), ""));
    let (at, id) = after.into_iter().chain(before).min().unwrap_or((i64::MAX, ""));
    select.push("(requested_at, delivery) < (?, ?)", [at.into(), id.into()]);
    select.push(" ORDER BY requested_at DESC, delivery DESC LIMIT ?", [page.limit().into()]);
    select
}

/// All conditions but those of time and place, which have to follow.
pub(super) fn chosen(filter: &DeliveryFilter, branch: Branch) -> Statement {
    let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE ", COLUMNS.join(", ")));
    let others = others(filter, branch.iter().any(|(text, _)| text == OF_TYPE));
    let conditions: Vec<_> = branch.into_iter().chain(others).filter(|(text, _)| !text.is_empty()).collect();
    for (condition, values) in conditions {
        select.push(&condition, values).push(" AND ", []);
    }
    select
}

/// Every condition that no index has answered, written so that none is found by it.
fn others(filter: &DeliveryFilter, of_one_type: bool) -> Vec<Condition> {
    // If neither is given, the index was chosen by the destination or the account.
    let scoped = filter.event_id.is_none() && filter.lead.is_none();
    let destination = filter.destination.as_ref().filter(|_| !scoped);
    let account = filter.account.as_ref().filter(|_| !scoped && filter.destination.is_none());
    let texts = [
        ("account", account.map(AccountId::as_str)),
        ("interface", filter.interface.as_ref().map(InterfaceId::as_str)),
        ("client", filter.client.as_ref().map(ClientId::as_str)),
        ("destination", destination.map(DestinationId::as_str)),
        ("lead", filter.lead.as_ref().map(LeadId::as_str)),
        ("failure", filter.failure.map(FailureReason::as_str)),
    ];
    let mut others: Vec<_> = texts.into_iter().filter_map(|(column, text)| Some(but(column, text?))).collect();
    if let Some(status) = filter.http_status {
        others.push(("last_status = ?".to_owned(), vec![u32::from(status).into()]));
    }
    match filter.event_type.as_ref().map(|pattern| (pattern.as_str(), pattern.as_str().strip_suffix('*'))) {
        _ if of_one_type => {}
        Some((exact, None)) => others.push(but("event_type", exact)),
        Some((_, Some(beginning))) if !beginning.is_empty() => {
            others.push((format!("substr(event_type, 1, {}) = ?", beginning.len()), vec![beginning.into()]));
        }
        _ => {}
    }
    others
}

fn any_status(filter: &DeliveryFilter) -> Condition {
    if filter.statuses.is_empty() {
        return (String::new(), vec![]);
    }
    let places = vec!["?"; filter.statuses.len()].join(", ");
    (format!("(status || '') IN ({places})"), filter.statuses.iter().map(|status| status.as_str().into()).collect())
}

fn is(column: &str, text: &str) -> Condition {
    (format!("{column} = ?"), vec![text.into()])
}

fn but(column: &str, text: &str) -> Condition {
    (format!("({column} || '') = ?"), vec![text.into()])
}
