//! Starts services in a process, `leadline up` with a broker and a database of its own, and their common options.

pub(crate) mod broker;
pub(crate) mod compose;
pub(crate) mod data_dir;
pub(crate) mod installation;
pub(crate) mod master_key;
pub(crate) mod network;
pub(crate) mod read_side;
pub(crate) mod up;
