//! The event log: facts on NATS JetStream, in and out.
//!
//! * [`Journal`] connects, checks the broker's version, sets the streams up and appends facts
//! * [`Feed`] hands out what a group of processes shares between them, and takes acknowledgements
//! * [`Replay`] reads a stream from any place, for whoever wants all of it
//! * [`RegistryView`] is the configuration as it is now
//! * timers, parking and turns are where work waits; jobs are worked on by one process at a time
//! * the health of the broker is what this process says of it in its readiness
//! * what was stored about people can be erased again
//! * a [`Place`] lets one process at a time read in order, and another go on where it stopped
//!
//! Guarantees: an append that returned `Ok` is stored by the broker. A repeated append of the same fact (the same
//! message id) within the deduplication window is stored once. Feeds and replays survive a broker that goes away and
//! comes back; while it is away appends fail with [`JournalError::Unavailable`] within [`ANSWER_DEADLINE`].

mod connection;
mod consume;
mod destination_health;
mod error;
mod headers;
mod history;
mod jobs;
mod leader;
mod publish;
mod quarantine;
mod registry;
mod streams;
mod subjects;
mod work;

pub use connection::backlog::{Backlog, Lag};
pub use connection::connect::Journal;
pub use connection::installation_key::RecordedKey;
pub use connection::options::{Flush, NatsOptions};
pub use connection::trouble::Trouble;
pub use consume::ack_handle::Message;
pub use consume::range::LeadsFrom;
pub use consume::reader::{Entry, Replay};
pub use consume::work_queue::{ACK_WAIT, Feed};
pub use error::JournalError;
pub use history::{Attempted, Attempts, Found, Since};
pub use jobs::RecordedJob;
pub use leader::lease::{Place, READER_IN_ORDER, READER_OF_LEADS, READER_OF_NOTICES};
pub use publish::append::{Appended, Submitted, Traffic};
pub use registry::freshness::{NewsError, settled};
pub use registry::view::RegistryView;
pub use streams::{Logged, StreamName};
pub use work::ordered_queue::Turn;
pub use work::parking::ParkedLane;

/// How long the broker may take to answer before it counts as away.
pub const ANSWER_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);
