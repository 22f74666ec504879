//! The problem itself: leads, destinations, deliveries, and the rules between them.
//!
//! This crate is pure. It never awaits, reads no clock and no random numbers and does no I/O: the services stamp time
//! and ids into the values that they pass in. Whatever is decided here is decided from values alone, so a redelivered
//! message leads to the same answer.
//!
//! * [`ids`]: the names of things, parsed once at the edge
//! * [`lead`]: what upstream systems publish
//! * [`registry`]: accounts, clients, interfaces, API users, destinations, tokens and keys, as facts and as
//!   state
//! * [`access`]: who may do what
//! * [`routing`]: which destinations want a lead event, and [`condition`]: by what the event says
//! * [`delivery`]: the facts of a delivery and the state they add up to
//! * [`job`]: work on many deliveries
//! * [`policy`]: when to try again, and [`breaker`]: when not to try at all
//! * [`guard`]: which addresses may be called
//! * [`outcome`]: what an attempt can end in, and [`advice`] for people
//! * [`notice`]: what people are told
//! * [`anonymisation`]: how people are forgotten
//! * [`payload`] and [`json`]: what payloads are
//! * [`text`]: rejected values in messages

pub mod access;
pub mod advice;
pub mod anonymisation;
pub mod breaker;
pub mod condition;
mod decimal;
pub mod delivery;
pub mod guard;
pub mod ids;
pub mod job;
pub mod json;
pub mod lead;
pub mod notice;
pub mod outcome;
pub mod payload;
pub mod policy;
pub mod registry;
pub mod routing;
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
