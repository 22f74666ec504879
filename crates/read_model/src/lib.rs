//! The read model: the tables that lists are read from, what each fact means for them, and the wait until they show a
//! fact. It knows nothing of gRPC.
//!
//! * [`store`] is a connection to the database, [`sql`] hides the differences between SQLite and PostgreSQL
//! * [`tables`] has one module for each table, [`page`] cuts lists into pages, [`prune`] deletes old rows
//! * [`project`] writes each fact into the tables
//! * [`read_barrier`] waits until the tables show a fact, [`flush_hint`] asks the projector to write soon
//! * [`hashing`] hashes the values inside payloads by which leads are found
//! * [`request_retry`] requests retries for callers and jobs, [`history`] decides how long ended deliveries are shown
//!
//! Guarantee: the read model holds nothing that the journal does not. It can be wiped and rebuilt from the facts.

mod error;
pub mod flush_hint;
pub mod hashing;
pub mod history;
mod measured;
mod options;
pub mod page;
pub mod project;
pub mod prune;
pub mod read_barrier;
mod repairs;
pub mod request_retry;
mod sources;
pub mod sql;
pub mod store;
pub mod tables;
mod traced;

pub use error::StoreError;
pub use history::History;
pub use options::{Options, compact};
pub use repairs::Repairs;
pub use sources::Sources;
pub use store::Store;
