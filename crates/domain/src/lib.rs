//! The domain: leads, destinations, deliveries, and the rules between them.
//!
//! This crate is pure. It never awaits, reads no clock and no random numbers, and does no I/O: services pass times and
//! ids as values. Decisions depend only on values, so a redelivered message leads to the same decision.
//!
//! * [`ids`] – ids, parsed once at the edge
//! * [`lead`] – lead events
//! * [`registry`] – accounts, clients, interfaces, API users, destinations, tokens and API keys, as facts and as state
//! * [`access`] – authorisation
//! * [`routing`] – which destinations want a lead event, and [`condition`] – their conditions on its payload
//! * [`delivery`] – the facts of a delivery, and the state that they fold to
//! * [`job`] – bulk retries and recoveries
//! * [`policy`] – when attempts follow each other, and [`breaker`] – when the lane stops requests
//! * [`guard`] – which addresses may be called
//! * [`outcome`] – the results of attempts, and [`advice`] – what people can do about failures
//! * [`problem`] – failures with one cause at one destination, and [`health`] – the health of a destination
//! * [`notice`] – notices, which people get by mail
//! * [`anonymisation`] – which leads were anonymised
//! * [`payload`] and [`json`] – payloads, and [`search`] – the values inside payloads by which leads are found
//! * [`text`] – rejected values, quoted in messages

pub mod access;
pub mod advice;
pub mod anonymisation;
pub mod breaker;
pub mod condition;
mod decimal;
pub mod delivery;
pub mod guard;
pub mod health;
pub mod ids;
pub mod job;
pub mod json;
pub mod lead;
pub mod notice;
pub mod outcome;
mod path;
pub mod payload;
pub mod policy;
pub mod problem;
pub mod registry;
pub mod routing;
pub mod search;
pub mod text;

pub use access::Principal;
pub use anonymisation::AnonymisationFact;
pub use condition::Condition;
pub use delivery::{Delivery, DeliveryFact, DeliveryRef, DeliveryStatus, Work};
pub use guard::Guard;
pub use ids::{
    AccountId, ApiUserId, AttemptId, ClientId, DeliveryId, DestinationId, EventId, EventType, InterfaceId, JobId,
    KeyId, LeadId, LeadSequence, NoticeId, OptOutId, RequestId, TokenId,
};
pub use job::{Job, JobFact};
pub use lead::LeadEvent;
pub use notice::NoticeFact;
pub use outcome::{AttemptOutcome, ErrorKind};
pub use policy::RetryPolicy;
pub use registry::{Registry, RegistryFact};
