//! The door of every server: who calls, and whether he may.
//!
//! [`Rules`] are what the methods of the API ask of their callers, read from the descriptors. A [`Door`] finds the key
//! that a caller shows in the live view of the registry, and holds it against the rule: over gRPC with [`Door::guard`],
//! over HTTP with [`Door::guard_http`]. Whoever gets through finds himself as a [`domain::Principal`] in the extensions
//! of his request; which account it is about, the handlers ask it. [`WithKey`] is the other end: a client that shows one.
//!
//! Guarantees: a method without a rule stops the start, and is never called. A key that is known here is checked without
//! asking anybody. What is open to all (health, reflection, `/healthz`, `/readyz`) is not behind a door.

mod client;
mod door;
mod grpc;
mod http;
mod rules;

pub use client::{Keyed, WithKey};
pub use door::{Door, Refused};
pub use grpc::Guarded;
pub use rules::{Rules, RulesError};
