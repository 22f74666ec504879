//! What people and scripts read: output, tables, times, errors.

pub(crate) mod errors;
pub(crate) mod output;
pub(crate) mod table;
pub(crate) mod time_args;
