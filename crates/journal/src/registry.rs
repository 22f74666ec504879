//! The configuration as this process sees it.

pub(crate) mod freshness;
pub(crate) mod view;
