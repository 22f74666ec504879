//! The connection to the broker, and what the broker says of itself.

pub(crate) mod backlog;
pub(crate) mod broker_info;
pub(crate) mod connect;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod installation_key;
pub(crate) mod options;
pub(crate) mod servers;
pub(crate) mod trouble;
