//! Which trace an attempt belongs to.

use std::fmt;

use jiff::SignedDuration;

/// The maximum time between the request of a round and an attempt that belongs to the trace of this request. Tracing
/// back ends expect traces of minutes; a delivery may be retried for days.
pub const MAX_CHILD_AGE: SignedDuration = SignedDuration::from_secs(60);

/// A span of a trace, by its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanRef {
    pub trace_id: u128,
    pub span_id: u64,
}

impl SpanRef {
    /// The length of [`SpanRef::to_bytes`].
    pub const BYTES: usize = 24;

    /// The id of the trace, in the notation of W3C Trace Context.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The bytes of the trace id, then those of the span id.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (trace, span) = bytes.split_at_mut(16);
        trace.copy_from_slice(&self.trace_id.to_be_bytes());
        span.copy_from_slice(&self.span_id.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace, span) = bytes.split_first_chunk::<16>()?;
        let span: [u8; 8] = span.try_into().ok()?;
        Some(Self { trace_id: u128::from_be_bytes(*trace), span_id: u64::from_be_bytes(span) })
    }

    /// Parses the output of [`Display`](fmt::Display).
    pub fn parse(text: &str) -> Option<Self> {
        let (trace, span) = text.split_once('-').filter(|(trace, span)| (trace.len(), span.len()) == (32, 16))?;
        Some(Self { trace_id: u128::from_str_radix(trace, 16).ok()?, span_id: u64::from_str_radix(span, 16).ok()? })
    }
}

impl fmt::Display for SpanRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:016x}", self.trace_id, self.span_id)
    }
}

/// The trace information that work carries for its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkTrace {
    /// Whether a person or a job asked for the attempt. Such an attempt always starts its own trace.
    pub starts: bool,
    /// The span of the previous attempt; `None` if there was none, or it had no trace.
    pub previous: Option<SpanRef>,
}

/// The trace that an attempt belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The attempt is a child of the span that asked for it.
    Child,
    /// The attempt starts its own trace, which links to its causes.
    OwnTrace,
}
