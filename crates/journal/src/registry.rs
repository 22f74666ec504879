//! The configuration as this process knows it.

pub(crate) mod freshness;
pub(crate) mod view;
