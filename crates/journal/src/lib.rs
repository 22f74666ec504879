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

mod append;
mod backlog;
mod batch;
mod connect;
mod credentials;
mod erase;
mod error;
mod feed;
mod headers;
mod health;
mod installation_key;
mod jobs;
mod look_back;
mod memory;
mod message;
mod news;
mod options;
mod pages;
mod parking;
mod position;
mod registry_view;
mod remains;
mod replay;
mod servers;
mod source;
mod streams;
mod subjects;
mod timers;
mod told;
mod trouble;
mod turns;
mod unreadable;
mod watched;

pub use append::{Appended, Submitted, Traffic};
pub use backlog::{Backlog, Lag};
pub use connect::Journal;
pub use error::JournalError;
pub use feed::{ACK_WAIT, Feed};
pub use installation_key::RecordedKey;
pub use jobs::RecordedJob;
pub use look_back::{Attempted, Attempts, Found, Since};
pub use message::Message;
pub use news::{NewsError, settled};
pub use options::{Flush, NatsOptions};
pub use pages::LeadsFrom;
pub use parking::ParkedLane;
pub use position::{Place, READER_IN_ORDER, READER_OF_LEADS, READER_OF_NOTICES};
pub use registry_view::RegistryView;
pub use replay::{Entry, Replay};
pub use streams::{Logged, StreamName};
pub use trouble::Trouble;
pub use turns::Turn;

/// How long the broker may take to answer before it counts as away.
pub const ANSWER_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);
