//! The event log: facts on NATS JetStream.
//!
//! * [`Journal`] connects, checks the broker's version and sets up the streams; its [`handles`] have the operations on
//!   each stream
//! * [`WorkQueue`] is a consumer that processes share, with acknowledgements
//! * [`StreamReader`] reads a stream in order from any sequence
//! * [`RegistryView`] is the live configuration
//! * timers, parking and ordered queues hold the pending work of deliveries
//! * jobs are recorded so that one process at a time works on each
//! * the health of the broker is a part of the process's readiness
//! * messages about anonymised leads are erased, also those in quarantine
//! * [`leader::run()`] lets one process at a time read in order; the next leader continues at its position
//!
//! Guarantees: an append that returned `Ok` is stored by the broker. A repeated append of the same fact (the same
//! message id) within the deduplication window is stored once. Work queues and readers survive an outage of the broker;
//! during the outage appends fail with [`JournalError::Unavailable`] within [`ANSWER_DEADLINE`].

mod clock;
mod connection;
mod consume;
mod consumers;
mod error;
pub mod handles;
mod headers;
pub mod leader;
mod measured;
mod publish;
mod registry;
mod streams;
mod subjects;
mod work;

pub use clock::ANSWER_DEADLINE;
pub use connection::backlog::{Backlog, Lag};
pub use connection::connect::Journal;
pub use connection::figures::{AccountFigures, StreamFigures};
pub use connection::installation_key::RecordedKey;
pub use connection::options::{Flush, NatsOptions};
pub use connection::storage_fault::StorageFault;
pub use connection::stream_state::StreamSize;
pub use consume::ack_handle::Message;
pub use consume::event_ids::{LeadsBounds, RangeError};
pub use consume::range::LeadsFrom;
pub use consume::reader::{Entry, StreamReader};
pub use consume::work_queue::{ACK_WAIT, WorkQueue};
pub use consumers::{LEAD_NOTIFIER_LEASE, NOTIFIER_LEASE, SEQUENCER_LEASE};
pub use error::JournalError;
pub use events::lane_report::LaneReport;
pub use handles::history::{Attempted, Attempts, Found, Since};
pub use handles::jobs::RecordedJob;
pub use handles::known_events::{PendingRequest, Requests};
pub use handles::lane_reports::LaneReports;
pub use handles::quarantine::Quarantined;
pub use leader::lease::ReaderLease;
pub use publish::append::Submitted;
pub use publish::message::Appended;
pub use registry::freshness::{FreshnessError, wait_propagation};
pub use registry::past::PastRegistry;
pub use registry::view::RegistryView;
pub use streams::{StreamFact, StreamName};
pub use subjects::Traffic;
pub use work::ordered_queue::QueuedDelivery;
pub use work::parking::ParkedLane;
