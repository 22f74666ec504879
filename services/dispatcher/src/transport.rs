//! Requests to receivers, and their outcomes.

pub(crate) mod answer;
pub(crate) mod authorized;
pub(crate) mod client;
pub(crate) mod compatibility;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod grant;
pub(crate) mod oauth;
pub(crate) mod outcome;
pub(crate) mod redaction;
pub(crate) mod request;
pub(crate) mod resolver;
pub(crate) mod route;
