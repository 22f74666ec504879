//! What the broker tells of a stream or a consumer, and whether it can be believed.
//!
//! In a cluster only the broker that leads a stream or a consumer knows how far it is. While none does, another one may
//! answer, with what it has come to, or with zeroes. So an answer without a leader is none.

use async_nats::jetstream::{
    Context, consumer,
    context::ConsumerInfoErrorKind,
    message::StreamMessage,
    stream::{ClusterInfo, InfoWithSubjects, RawMessageErrorKind, State, Stream},
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
    led(context, info.cluster.as_ref(), name.as_str(), asked)?;
    Ok(info.state.clone())
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
    led(context, subjects.info.cluster.as_ref(), name.as_str(), asked)?;
    Ok(subjects)
}

/// How far a consumer is; none: there is no such consumer.
pub(crate) async fn consumer(
    context: &Context,
    (on, name): (StreamName, &str),
    asked: &'static str,
) -> Result<Option<consumer::Info>, JournalError> {
    match stream(context, on, asked).await?.consumer_info(name).await {
        Ok(info) => led(context, info.cluster.as_ref(), name, asked).map(|()| Some(info)),
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(asked, error)),
    }
}

/// The first message on these subjects that a consumer of them has not acknowledged; none: it has acknowledged all. How
/// much waits for it is not asked: a broker that has just begun to lead it may not know that yet.
///
/// # Errors
/// Also when there never was such a consumer.
pub(crate) async fn first_unacknowledged(
    context: &Context,
    (on, name): (StreamName, &str),
    subjects: &str,
    asked: &'static str,
) -> Result<Option<StreamMessage>, JournalError> {
    let consumer = consumer(context, (on, name), asked).await?;
    let consumer = consumer.ok_or_else(|| JournalError::unavailable(asked, format!("nobody ever was {name}")))?;
    let stream = stream(context, on, asked).await?;
    match stream.get_first_raw_message_by_subject(subjects, consumer.ack_floor.stream_sequence + 1).await {
        Ok(first) => Ok(Some(first)),
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(JournalError::unavailable(asked, error)),
    }
}

fn led(context: &Context, cluster: Option<&ClusterInfo>, what: &str, asked: &'static str) -> Result<(), JournalError> {
    if is_led(cluster, context.client().server_info().cluster.is_some()) {
        return Ok(());
    }
    Err(JournalError::unavailable(asked, NoLeader(what.to_owned())))
}

/// A broker that is alone may say nothing of a cluster; one in a cluster that says nothing has only just been started.
fn is_led(cluster: Option<&ClusterInfo>, is_clustered: bool) -> bool {
    cluster.map_or(!is_clustered, |cluster| cluster.leader.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_leader_is_none() {
        let led_by = |leader: Option<&str>| ClusterInfo { leader: leader.map(str::to_owned), ..ClusterInfo::default() };
        assert!(is_led(None, false), "a broker that is alone");
        assert!(is_led(Some(&led_by(Some("n1"))), true));
        assert!(!is_led(Some(&led_by(None)), true), "while one is elected");
        assert!(!is_led(None, true), "it has only just been started");
    }
}
