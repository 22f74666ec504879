//! Serving calls over HTTP and gRPC: listeners, connections and their limits, probes.

pub(crate) mod connections;
pub mod cors;
pub(crate) mod exposition;
pub(crate) mod in_flight;
pub(crate) mod incoming;
pub(crate) mod listen;
pub(crate) mod probes;
pub(crate) mod request_id;
pub(crate) mod shares;
pub(crate) mod tls;
