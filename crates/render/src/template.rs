//! Templates: the engine, with guards and limits that hold for every template and every event.

pub(crate) mod engine;
pub(crate) mod functions;
pub(crate) mod guard;
pub(crate) mod meter;
pub(crate) mod operators;
pub(crate) mod part;
pub(crate) mod stack;
pub(crate) mod trial;
