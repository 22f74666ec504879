//! Starts services in a process: each alone, or all with `leadline up`, which has its own broker and database by
//! default. Has their common options, too.

pub(crate) mod broker;
pub(crate) mod compose;
pub(crate) mod data_dir;
pub(crate) mod installation;
pub(crate) mod master_key;
pub(crate) mod network;
pub(crate) mod read_side;
pub(crate) mod up;
