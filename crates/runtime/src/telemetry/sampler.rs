//! Sampling: failures are exported even if their traces are not sampled.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::trace::KEPT;

/// Samples spans that are marked as kept failures; the configured sampler decides about all others.
#[derive(Debug, Clone)]
pub(super) struct KeepFailures {
    pub(super) others: Box<dyn ShouldSample>,
    /// Whether failures are kept.
    pub(super) keeps: bool,
}

impl ShouldSample for KeepFailures {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if self.keeps && attributes.iter().any(|attribute| attribute.key.as_str() == KEPT) {
            let (decision, trace_state) = (SamplingDecision::RecordAndSample, TraceState::default());
            return SamplingResult { decision, attributes: vec![], trace_state };
        }
        self.others.should_sample(parent, trace, name, kind, attributes, links)
    }
}
