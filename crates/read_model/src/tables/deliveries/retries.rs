//! Deliveries in the order in which jobs and the reconciler read them.

use domain::{Delivery, DeliveryId, DeliveryStatus, delivery::DeliveryFilter};
use jiff::Timestamp;

use crate::{
    error::StoreError,
    store::Store,
    tables::deliveries::{
        from_row,
        pages::{SwitchedOff, branches, chosen, is_of_account},
    },
};

impl Store {
    /// The deliveries of a filter whose stored status is this one, whether or not their destination is switched off.
    /// The oldest come first, after a position.
    pub async fn oldest_deliveries(
        &self,
        filter: &DeliveryFilter,
        status: DeliveryStatus,
        after: Option<(Timestamp, DeliveryId)>,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let filter = DeliveryFilter { statuses: vec![status], ..filter.clone() };
        let mut found = vec![];
        // The filter has one status, so there is one branch.
        for branch in branches(&filter, None, &SwitchedOff::NOWHERE) {
            let mut select = chosen(&filter, branch);
            if let Some(before) = filter.requested_before {
                select.push("requested_at < ? AND ", [before.into()]);
            }
            // One bound, as in `pages`: with two bounds, the database would begin to read at the wrong one.
            let after = after.map(|(at, id)| (at.as_microsecond(), id.to_string()));
            let from = filter.requested_from.map(|from| (from.as_microsecond(), String::new()));
            let (at, id) = after.into_iter().chain(from).max().unwrap_or((i64::MIN, String::new()));
            select.push("(requested_at, delivery) > (?, ?)", [at.into(), id.into()]);
            let max = i64::try_from(max).unwrap_or(i64::MAX);
            select.push(" ORDER BY requested_at, delivery LIMIT ?", [max.into()]);
            for row in &self.fetch_all(select).await? {
                found.push(from_row(row)?);
            }
        }
        found.retain(|delivery| is_of_account(&filter, delivery));
        Ok(found)
    }
}
