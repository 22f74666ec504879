//! What measurements share: systems under test and their data, the load generator and receivers, and figures.

pub(crate) mod api;
pub(crate) mod ask;
pub(crate) mod cluster;
pub(crate) mod databases;
pub(crate) mod dataset;
pub(crate) mod derived;
pub(crate) mod filled;
pub(crate) mod flood;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod receiver;
pub(crate) mod report;
pub(crate) mod statistics;
pub(crate) mod system;
pub(crate) mod table;
pub(crate) mod usage;
