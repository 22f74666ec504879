//! Deliveries as a job goes through them.

use domain::{Delivery, DeliveryId, DeliveryStatus, delivery::DeliveryFilter};
use jiff::Timestamp;

use super::{
    Store, StoreError,
    deliveries::from_row,
    pages::{branches, chosen},
};

impl Store {
    /// The failed deliveries among those of a filter, the oldest first, behind a place.
    pub(crate) async fn failed_deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<(Timestamp, DeliveryId)>,
        most: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let filter = DeliveryFilter { statuses: vec![DeliveryStatus::Failed], ..filter.clone() };
        let mut found = vec![];
        // One status is asked for, so there is one branch.
        for branch in branches(&filter, None) {
            let mut select = chosen(&filter, branch);
            let (at, id) = after.map_or((i64::MIN, String::new()), |(at, id)| (at.as_microsecond(), id.to_string()));
            select.push("(requested_at, delivery) > (?, ?)", [at.into(), id.into()]);
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            select.push(" ORDER BY requested_at, delivery LIMIT ?", [most.into()]);
            for row in &select.query().fetch_all(&self.pool).await? {
                found.push(from_row(row)?);
            }
        }
        Ok(found)
    }
}
