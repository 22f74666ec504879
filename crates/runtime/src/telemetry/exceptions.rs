//! Events of spans about errors, by the semantic conventions for exceptions. Lines of the log have the chain of causes
//! in the field `error`, and their text becomes the name of the event.

use std::mem;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::trace::SpanData;

/// The field of a log line that contains an error and its causes.
const ERROR: &str = "error";
const EVENT: &str = "exception";
const MESSAGE: &str = "exception.message";
/// The attribute for the text of the log line, which names the failed operation.
const OPERATION: &str = "leadline.message";

/// Renames the events of a span that have an error, as the conventions require. This happens at the export, so that it
/// costs callers nothing.
pub(super) fn follow_conventions(span: &mut SpanData) {
    for event in &mut span.events.events {
        let error = event.attributes.iter_mut().find(|attribute| attribute.key.as_str() == ERROR);
        if let Some(error) = error {
            error.key = Key::from_static_str(MESSAGE);
            let text = mem::replace(&mut event.name, EVENT.into());
            event.attributes.push(KeyValue::new(OPERATION, text));
        }
    }
}
