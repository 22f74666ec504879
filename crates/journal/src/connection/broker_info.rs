//! What the broker tells of a stream or a consumer, and whether it can be believed.
//!
//! In a cluster only the broker that leads a stream or a consumer knows how far it is. While none does, another one may
//! answer, with what it has come to, or with zeroes. Such an answer is none.

use async_nats::jetstream::{
    Context, consumer,
    context::ConsumerInfoErrorKind,
    message::StreamMessage,
    stream::{ClusterInfo, InfoWithSubjects, LastRawMessageErrorKind, RawMessageErrorKind, State, Stream},
};

use crate::{JournalError, StreamName};

/// Why an answer is not believed.
#[derive(Debug, thiserror::Error)]
#[error("no broker of the cluster leads {0} now; one is being elected")]
struct NoLeader(String);

/// A stream to ask; nothing is asked yet.
pub(crate) async fn stream(
    context: &Context,
    name: StreamName,
    asked: &'static str,
) -> Result<Stream<()>, JournalError> {
    let stream = context.get_stream_no_info(name.as_str()).await;
    stream.map_err(|e| JournalError::unavailable(asked, e))
}

/// How far a stream is.
pub(crate) async fn state(context: &Context, name: StreamName, asked: &'static str) -> Result<State, JournalError> {
    let stream = context.get_stream(name.as_str()).await.map_err(|e| JournalError::unavailable(asked, e))?;
    let info = stream.cached_info();
    believed(info.cluster.as_ref().is_none_or(is_leader), name.as_str(), asked)?;
    Ok(info.state.clone())
}

/// The last message of a stream on these subjects; none: there is none.
pub(crate) async fn last_on(
    context: &Context,
    name: StreamName,
    subjects: &str,
    asked: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    match stream(context, name, asked).await?.get_last_raw_message_by_subject(subjects).await {
        Ok(last) => Ok(Some(last)),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(asked, error)),
    }
}

/// The first message of a stream on these subjects from a sequence on; none: there is none.
pub(crate) async fn first_on(
    context: &Context,
    name: StreamName,
    subjects: &str,
    from: u64,
    asked: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    match stream(context, name, asked).await?.get_first_raw_message_by_subject(subjects, from).await {
        Ok(first) => Ok(Some(first)),
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(asked, error)),
    }
}

/// The subjects of a stream that match, and how many messages each has.
pub(crate) async fn subjects(
    context: &Context,
    name: StreamName,
    matching: impl AsRef<str>,
    asked: &'static str,
) -> Result<InfoWithSubjects, JournalError> {
    let stream = stream(context, name, asked).await?;
    let subjects = stream.info_with_subjects(matching).await.map_err(|e| JournalError::unavailable(asked, e))?;
    believed(subjects.info.cluster.as_ref().is_none_or(is_leader), name.as_str(), asked)?;
    Ok(subjects)
}

/// How far a consumer is; none: there is no such consumer.
pub(crate) async fn consumer(
    context: &Context,
    (on, name): (StreamName, &str),
    asked: &'static str,
) -> Result<Option<consumer::Info>, JournalError> {
    let Some(info) = consumer_as_told(context, (on, name), asked).await? else { return Ok(None) };
    let is_leader = match &info.cluster {
        Some(cluster) => is_leader(cluster),
        // A broker that keeps the stream alone says so, and one that has only just been started.
        None => {
            let stream = context.get_stream(on.as_str()).await.map_err(|e| JournalError::unavailable(asked, e))?;
            stream.cached_info().cluster.as_ref().is_none_or(is_alone)
        }
    };
    believed(is_leader, name, asked)?;
    Ok(Some(info))
}

/// The first message on these subjects that a consumer of them has not acknowledged; none: it has acknowledged all. How
/// much waits for it is not asked: a broker that has just begun to lead it may not know that yet. Whoever answers has come
/// at most as far as its leader, so what is acknowledged is.
///
/// # Errors
/// Also when there never was such a consumer.
pub(crate) async fn first_unacknowledged(
    context: &Context,
    (on, name): (StreamName, &str),
    subjects: &str,
    asked: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    let consumer = consumer_as_told(context, (on, name), asked).await?;
    let consumer = consumer.ok_or_else(|| JournalError::unavailable(asked, format!("nobody ever was {name}")))?;
    first_on(context, on, subjects, consumer.ack_floor.stream_sequence + 1, asked).await
}

async fn consumer_as_told(
    context: &Context,
    (on, name): (StreamName, &str),
    asked: &'static str,
) -> Result<Option<consumer::Info>, JournalError> {
    match stream(context, on, asked).await?.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(asked, error)),
    }
}

fn believed(is_leader: bool, what: &str, asked: &'static str) -> Result<(), JournalError> {
    if is_leader { Ok(()) } else { Err(JournalError::unavailable(asked, NoLeader(what.to_owned()))) }
}

/// Whether the broker that answers leads what it tells of: it alone says since when.
fn is_leader(cluster: &ClusterInfo) -> bool {
    is_alone(cluster) || cluster.leader_since.is_some()
}

/// Whether nobody else keeps a copy, in a cluster or without one.
const fn is_alone(cluster: &ClusterInfo) -> bool {
    cluster.raft_group.is_none()
}
