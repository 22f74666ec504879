//! Finds deliveries by values inside the payloads of their leads.

use std::collections::HashMap;

use api::status::invalid;
use domain::AccountId;
use read_model::{
    Store,
    hashing::Hashing,
    tables::{
        deliveries::pages::DeliveryFilter,
        values::{Chosen, WantedHash},
    },
};
use tonic::Status;

use crate::call::{errors::failed, search};

/// The hashes of a filter's values. They differ by account, so the filter has to name an account.
pub(crate) fn wanted(
    hashing: &Hashing,
    account: Option<&AccountId>,
    given: &HashMap<String, String>,
) -> Result<Vec<WantedHash>, Status> {
    match account {
        Some(account) => search::wanted(hashing, "filter.where", account, given),
        None if given.is_empty() => Ok(vec![]),
        None => Err(invalid("filter.account_id", "is missing; a search by values is within an account")),
    }
}

/// The leads that have all wanted values. Without an account there are no wanted values, so no lead is left out.
pub(crate) async fn chosen(store: &Store, filter: &DeliveryFilter, wanted: &[WantedHash]) -> Result<Chosen, Status> {
    match &filter.account {
        Some(account) => store.chosen(account, filter.client.as_ref(), wanted).await.map_err(failed),
        None => Ok(Chosen::default()),
    }
}
