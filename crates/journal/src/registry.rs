//! The configuration as this process sees it.

pub(crate) mod freshness;
pub(crate) mod past;
pub(crate) mod up_to_date;
pub(crate) mod view;
