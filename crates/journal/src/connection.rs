//! The connection to the broker, its health, and the state that it reports.

pub(crate) mod backlog;
pub(crate) mod broker_info;
pub(crate) mod connect;
pub(crate) mod credentials;
pub(crate) mod figures;
pub(crate) mod full_streams;
pub(crate) mod health;
pub(crate) mod installation_key;
pub(crate) mod options;
pub(crate) mod servers;
pub(crate) mod set_up;
pub(crate) mod storage_fault;
pub(crate) mod stream_state;
pub(crate) mod used_links;
