//! The common parts of calls: the caller, the statuses of failures, pages of lists, and views of payloads.

pub(crate) mod caller;
pub(crate) mod errors;
pub(crate) mod for_clients;
pub(crate) mod listing;
pub(crate) mod not_found;
pub(crate) mod payload_views;
pub(crate) mod search;
pub(crate) mod spreadsheet;
