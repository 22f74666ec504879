//! Bodies of `POST /v1/leads`: each event is refused with a message, or read with its payload unchanged.

use bytes::Bytes;
use serde_json::value::RawValue;

/// A small maximum, so that a small input can exceed it.
const MAX_EVENT: usize = 4 * 1024;

pub fn ingest_json(bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    for lines in [false, true] {
        for event in ingest::read_body(&body, lines, MAX_EVENT) {
            match event {
                Ok(publish) => {
                    let payload = &publish.payload;
                    assert!(payload.len() <= MAX_EVENT);
                    assert!(payload.is_empty() || bytes.windows(payload.len()).any(|window| window == payload));
                    assert!(serde_json::from_slice::<&RawValue>(payload).is_ok(), "receivers get JSON");
                }
                Err(refused) => assert!(!refused.to_string().is_empty()),
            }
        }
    }
}
