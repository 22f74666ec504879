//! Bulk retries of deliveries that are found by values inside payloads. The job stores the ids of the deliveries, not
//! the values, because its facts outlive the values of an anonymised lead.

use std::sync::Arc;

use api::status::invalid;
use domain::{DeliveryId, DeliveryStatus, delivery::DeliveryFilter, job::MAX_LISTED};
use read_model::tables::{deliveries::pages::SwitchedOff, values::WantedHash};
use tonic::Status;

use super::JobService;
use crate::{
    call::{errors::failed, listing},
    delivery_service::{chosen, place},
};

const PAGE: u32 = 500;

impl JobService {
    /// The deliveries that match a filter with values and can be retried, the oldest first.
    pub(super) async fn found(
        &self,
        mut filter: DeliveryFilter,
        values: &[WantedHash],
        force: bool,
    ) -> Result<Arc<[DeliveryId]>, Status> {
        if filter.statuses.is_empty() {
            filter.statuses = vec![DeliveryStatus::Failed];
            filter.statuses.extend(force.then_some(DeliveryStatus::Succeeded));
        }
        let chosen = chosen(&self.store, &filter, values).await?;
        let (mut found, mut token) = (vec![], String::new());
        loop {
            let page = listing::own_page(PAGE, &token, &filter)?;
            let off = &SwitchedOff::NOWHERE;
            let mut rows = self.store.deliveries_among(&chosen, &filter, &page, off).await.map_err(failed)?;
            token = page.cut(&mut rows, place);
            found.extend(rows.into_iter().map(|delivery| delivery.reference.delivery));
            if found.len() > MAX_LISTED {
                let problem =
                    format!("matches more than {MAX_LISTED} deliveries, which is the limit; narrow the filter");
                return Err(invalid("filter.where", problem));
            }
            if token.is_empty() {
                break;
            }
        }
        if found.is_empty() {
            return Err(invalid("filter.where", "matches no delivery that can be retried"));
        }
        found.reverse();
        Ok(found.into())
    }
}
