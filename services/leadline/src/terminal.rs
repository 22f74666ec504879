//! The output of commands, for people and scripts: JSON, tables, times, errors.

pub(crate) mod errors;
pub(crate) mod output;
pub(crate) mod table;
pub(crate) mod time_args;
