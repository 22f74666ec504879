//! The values that callers search by.

use std::collections::{BTreeMap, HashMap};

use api::status::{invalid, not_found, wrong_fields};
use domain::{AccountId, search::MAX_FIELDS};
use read_model::{hashing::Hashing, tables::values::WantedHash};
use tonic::Status;

/// The hashes of the values that a caller searches by; `field` is the field of the request.
///
/// # Errors
/// If the account does not exist, or has no such searchable field, or a value is not of the field's kind.
pub(crate) fn wanted(
    hashing: &Hashing,
    field: &str,
    account: &AccountId,
    given: &HashMap<String, String>,
) -> Result<Vec<WantedHash>, Status> {
    if given.is_empty() {
        return Ok(vec![]);
    }
    if given.len() > MAX_FIELDS {
        return Err(invalid(field, format!("names {} values, and {MAX_FIELDS} is the limit", given.len())));
    }
    let registry = hashing.registry();
    let missing = || not_found("ACCOUNT", format!("there is no account {account}"));
    let entry = registry.account(account).ok_or_else(missing)?;
    // In a fixed order, so that a page token recognises the filter.
    let ordered: BTreeMap<_, _> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let wanted = entry.wanted(ordered).map_err(|problems| {
        let mistakes: Vec<_> = problems.into_iter().map(|problem| (field, problem)).collect();
        wrong_fields(&mistakes)
    })?;
    Ok(hashing.hashed(account, &wanted))
}
