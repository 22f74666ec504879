//! Authentication and authorisation of every server: who calls, and whether they may.
//!
//! [`Rules`] say what each method of the API requires of its callers. They are read from the descriptors of the API.
//! The [`Authenticator`] looks up the API key of a call in the registry view, and checks it against the rule.
//! [`Authenticator::guard`] does this for gRPC services, and [`Authenticator::guard_http`] for HTTP routes.
//! [`Sessions`] let browsers call in the session of a person who has logged in to the console. Handlers find the caller
//! as a [`domain::Principal`] in the extensions of the request, and check with it which account the call may touch.
//! [`AuthInterceptor`] is the client side.
//!
//! Guarantees: no server starts if a method has no rule. A key that the registry view contains is checked without a
//! request to the broker. Open endpoints, such as health, reflection and `/metrics`, are not guarded.

mod authenticator;
mod client;
mod grpc;
mod http;
mod rules;
mod session;

pub use authenticator::{Authenticator, Refused};
pub use client::{AuthChannel, AuthInterceptor};
pub use grpc::Guarded;
pub use rules::{MethodRule, Rules, RulesError};
pub use session::{CSRF, Grant, NoSession, NoSite, People, Sessions, Site, bounds_of, from_here};
