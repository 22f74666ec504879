//! The state of streams and consumers, as their leader reports it.
//!
//! In a cluster only the leader of a stream or a consumer knows its state. Without a leader, followers may answer with
//! stale or zeroed counters; such an answer counts as unavailable.

use async_nats::jetstream::{
    Context, consumer,
    context::ConsumerInfoErrorKind,
    message::StreamMessage,
    stream::{ClusterInfo, Info, InfoWithSubjects, LastRawMessageErrorKind, RawMessageErrorKind, State, Stream},
};

use crate::{consumers::Consumer, error::JournalError, streams::StreamName};

/// Why an answer counts as unavailable.
#[derive(Debug, thiserror::Error)]
#[error("no server of the cluster leads {0} now; an election is under way")]
struct NoLeader(String);

/// A handle for a stream. Getting it sends no request.
pub(crate) async fn stream(
    context: &Context,
    name: StreamName,
    operation: &'static str,
) -> Result<Stream<()>, JournalError> {
    let stream = context.get_stream_no_info(name.as_str()).await;
    stream.map_err(|e| JournalError::unavailable(operation, e))
}

pub(crate) async fn state(context: &Context, name: StreamName, operation: &'static str) -> Result<State, JournalError> {
    Ok(info(context, name, operation).await?.state)
}

/// State and settings of a stream.
pub(crate) async fn info(context: &Context, name: StreamName, operation: &'static str) -> Result<Info, JournalError> {
    let stream = context.get_stream(name.as_str()).await.map_err(|e| JournalError::unavailable(operation, e))?;
    let info = stream.cached_info();
    require_leader(info.cluster.as_ref().is_none_or(is_leader), name.as_str(), operation)?;
    Ok(info.clone())
}

/// The last message of a stream on these subjects; `None` if there is none.
pub(crate) async fn last_on(
    context: &Context,
    name: StreamName,
    subjects: &str,
    operation: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    match stream(context, name, operation).await?.get_last_raw_message_by_subject(subjects).await {
        Ok(last) => Ok(Some(last)),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(operation, error)),
    }
}

/// The first message of a stream on these subjects from a sequence on; `None` if there is none.
pub(crate) async fn first_on(
    context: &Context,
    name: StreamName,
    subjects: &str,
    from: u64,
    operation: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    match stream(context, name, operation).await?.get_first_raw_message_by_subject(subjects, from).await {
        Ok(first) => Ok(Some(first)),
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(operation, error)),
    }
}

/// The subjects of a stream that match a pattern, with the number of messages of each.
pub(crate) async fn subjects(
    context: &Context,
    name: StreamName,
    matching: impl AsRef<str>,
    operation: &'static str,
) -> Result<InfoWithSubjects, JournalError> {
    let stream = stream(context, name, operation).await?;
    let subjects = stream.info_with_subjects(matching).await.map_err(|e| JournalError::unavailable(operation, e))?;
    require_leader(subjects.info.cluster.as_ref().is_none_or(is_leader), name.as_str(), operation)?;
    Ok(subjects)
}

/// The state of a consumer; `None` if it does not exist.
pub(crate) async fn consumer(
    context: &Context,
    of: &Consumer,
    operation: &'static str,
) -> Result<Option<consumer::Info>, JournalError> {
    let Consumer { stream: on, durable, .. } = *of;
    let Some(info) = reported_consumer(context, (on, durable), operation).await? else { return Ok(None) };
    let is_leader = match &info.cluster {
        Some(cluster) => is_leader(cluster),
        // A server reports no cluster if no other server has a copy of the stream, or if it has just started.
        None => {
            let stream = context.get_stream(on.as_str()).await.map_err(|e| JournalError::unavailable(operation, e))?;
            stream.cached_info().cluster.as_ref().is_none_or(is_alone)
        }
    };
    require_leader(is_leader, durable, operation)?;
    Ok(Some(info))
}

/// The first message that a consumer has not acknowledged; `None` if it has acknowledged all.
///
/// The number of pending messages is not used: a broker that has just become leader may not know it yet. A follower is
/// never ahead of its leader, so a message that it reports as acknowledged is acknowledged.
///
/// # Errors
/// When the broker does not answer, or the consumer never existed.
pub(crate) async fn first_unacknowledged(
    context: &Context,
    of: &Consumer,
    operation: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    let Consumer { stream, durable, subjects, .. } = *of;
    let consumer = reported_consumer(context, (stream, durable), operation).await?;
    let consumer =
        consumer.ok_or_else(|| JournalError::unavailable(operation, format!("there is no consumer {durable}")))?;
    first_on(context, stream, subjects, consumer.ack_floor.stream_sequence + 1, operation).await
}

async fn reported_consumer(
    context: &Context,
    (on, name): (StreamName, &str),
    operation: &'static str,
) -> Result<Option<consumer::Info>, JournalError> {
    match stream(context, on, operation).await?.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(operation, error)),
    }
}

fn require_leader(is_leader: bool, what: &str, operation: &'static str) -> Result<(), JournalError> {
    if is_leader { Ok(()) } else { Err(JournalError::unavailable(operation, NoLeader(what.to_owned()))) }
}

/// Whether the server that answers is the leader: only the leader reports when its leadership began.
fn is_leader(cluster: &ClusterInfo) -> bool {
    is_alone(cluster) || cluster.leader_since.is_some()
}

/// Whether no other server keeps a copy, with or without a cluster.
const fn is_alone(cluster: &ClusterInfo) -> bool {
    cluster.raft_group.is_none()
}
