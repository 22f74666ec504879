//! Buckets of counts as the API names and shows them.

use api::{duration_to_api, status::invalid, timestamp, timestamp_to_api};
use domain::AccountId;
use jiff::Timestamp;
use read_model::tables::counts::{Bucket, CountFilter, Width};
use tonic::Status;

use super::optional_destination;

pub(super) fn filter(account: AccountId, request: &api::QueryDeliveryCountsRequest) -> Result<CountFilter, Status> {
    let time = |field: &str, given: &Option<prost_types::Timestamp>| {
        given.as_ref().map(|time| timestamp(time).ok_or_else(|| invalid(field, "is out of range"))).transpose()
    };
    let width = match api::CountBucket::try_from(request.bucket) {
        Ok(api::CountBucket::FiveMinutes) => Width::FiveMinutes,
        Ok(api::CountBucket::Hour | api::CountBucket::Unspecified) => Width::Hour,
        Ok(api::CountBucket::Day) => Width::Day,
        Err(_) => return Err(invalid("bucket", format!("{} is not a size of buckets", request.bucket))),
    };
    Ok(CountFilter {
        account,
        destination: optional_destination(&request.destination_id)?,
        width,
        from: time("from", &request.from)?,
        before: time("before", &request.before)?,
    })
}

pub(super) fn shown(bucket: &Bucket) -> api::DeliveryCounts {
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
    }
}
