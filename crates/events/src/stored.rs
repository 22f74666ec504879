//! The generated types of stored facts.

include!(concat!(env!("OUT_DIR"), "/leadline.events.v1.rs"));
