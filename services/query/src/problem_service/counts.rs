//! Conversions of buckets of counts, and of the filter that finds them.

use api::{
    CountBucket, duration_to_api,
    request::{Violations, WrongField, optional, time},
    timestamp_to_api,
};
use domain::{DestinationId, health::Answers};
use jiff::Timestamp;
use read_model::tables::counts::{Bucket, CountFilter, Width};

use crate::call::caller::Caller;

/// Reads the filter of a request, and notes what is wrong with it.
pub(super) fn filter(
    fields: &mut Violations,
    caller: &Caller,
    request: &api::QueryDeliveryCountsRequest,
) -> Option<CountFilter> {
    let account = fields.note(caller.account(&request.account_id));
    let destination = fields.note(optional("destination_id", &request.destination_id, DestinationId::parse));
    let width = fields.note(match CountBucket::try_from(request.bucket) {
        Ok(CountBucket::FiveMinutes) => Ok(Width::FiveMinutes),
        Ok(CountBucket::Hour | CountBucket::Unspecified) => Ok(Width::Hour),
        Ok(CountBucket::Day) => Ok(Width::Day),
        Err(_) => Err(WrongField::new("bucket", format!("{} is not a size of buckets", request.bucket))),
    });
    let from = fields.note(time("from", request.from.as_ref()));
    let before = fields.note(time("before", request.before.as_ref()));
    Some(CountFilter { account: account?, destination: destination?, width: width?, from: from?, before: before? })
}

pub(super) fn bucket_to_api(bucket: &Bucket) -> api::DeliveryCounts {
    let counts = &bucket.counts;
    let percentile = |percent| counts.latencies.percentile(percent).map(duration_to_api);
    api::DeliveryCounts {
        destination_id: bucket.destination.to_string(),
        start: Timestamp::from_microsecond(bucket.start).ok().map(timestamp_to_api),
        succeeded: counts.succeeded,
        failed: counts.failed,
        attempts: counts.attempts,
        failed_attempts: counts.failed_attempts,
        p50: percentile(50),
        p95: percentile(95),
        answers: Some(shown_answers(&counts.answers)),
    }
}

pub(super) const fn shown_answers(answers: &Answers) -> api::AnswerCounts {
    let [http_2xx, http_3xx, http_4xx, http_5xx, none] = answers.0;
    api::AnswerCounts { http_2xx, http_3xx, http_4xx, http_5xx, none }
}
