//! Creates the streams, and updates those that exist.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Compression, Config},
};

use crate::{connection::options::NatsOptions, error::JournalError, streams::StreamName};

/// The prefix of the broker's own metadata.
const BROKER_METADATA: &str = "_nats.";

/// Creates the missing streams and updates the others; several processes may do so at once.
pub(crate) async fn set_up(context: &Context, options: &NatsOptions) -> Result<(), JournalError> {
    for stream in StreamName::ALL {
        let existing = match context.get_stream(stream.as_str()).await {
            Ok(existing) => Some(existing.cached_info().config.clone()),
            Err(error) if is_missing(&error.kind()) => None,
            Err(error) => return Err(JournalError::unavailable("describe its streams", error)),
        };
        if let Some(existing) = &existing {
            stream.log_differences(options, existing);
        }
        let config = stream.config(options, existing.as_ref());
        context.create_or_update_stream(config).await.map_err(|error| match advice(&error.kind()) {
            Some(advice) => JournalError::Stream { stream: stream.as_str(), advice, source: error.into() },
            None => JournalError::refused("set up its streams", error),
        })?;
    }
    Ok(())
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What the operator should do about a refusal; `None` if a retry may help.
fn advice(kind: &CreateStreamErrorKind) -> Option<&'static str> {
    let CreateStreamErrorKind::JetStream(error) = kind else { return None };
    match error.error_code() {
        ErrorCode::STREAM_MAX_BYTES_REQUIRED => {
            Some("the account of the broker requires a limit for each stream; set it with --stream-max-bytes")
        }
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => Some(
            "the account of the broker has no room for it; lower --stream-max-bytes, or raise the limits of the account",
        ),
        ErrorCode::MAXIMUM_STREAMS_LIMIT => Some("the account of the broker has to allow 11 streams"),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => Some("--replicas of more than 1 needs a cluster"),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            Some("JetStream has to be enabled for the account of the broker")
        }
        ErrorCode::STREAM_INVALID_CONFIG => Some("its settings contradict each other; the cause names them"),
        _ => None,
    }
}

/// How long the broker remembers the ids of facts about deliveries.
pub(crate) async fn dedup_window(context: &Context) -> Result<Duration, JournalError> {
    let stream = context.get_stream(StreamName::Deliveries.as_str()).await;
    let stream = stream.map_err(|e| JournalError::unavailable("read the deduplication window", e))?;
    Ok(stream.cached_info().config.duplicate_window)
}

impl StreamName {
    /// Logs the settings that differ from those that Leadline would choose.
    fn log_differences(self, options: &NatsOptions, existing: &Config) {
        let usual = self.config(options, None);
        let is_kept = |(_, theirs, ours): &(&str, String, String)| theirs != ours;
        let settings = |config: &Config| {
            let metadata = config.metadata.iter().filter(|(name, _)| !name.starts_with(BROKER_METADATA));
            let metadata = metadata.collect::<BTreeMap<_, _>>();
            [
                ("max_bytes", format!("{}", config.max_bytes.max(0))),
                ("max_age", format!("{:?}", config.max_age)),
                ("compression", format!("{:?}", config.compression.clone().unwrap_or(Compression::None))),
                ("placement", format!("{:?}", config.placement)),
                ("republish", format!("{:?}", config.republish)),
                ("description", format!("{:?}", config.description.clone().unwrap_or_default())),
                ("metadata", format!("{metadata:?}")),
            ]
        };
        let pairs = settings(existing).into_iter().zip(settings(&usual));
        let kept = pairs.map(|((name, theirs), (_, ours))| (name, theirs, ours)).filter(is_kept);
        let kept: Vec<_> = kept.map(|(name, theirs, ours)| format!("{name}: {theirs} instead of {ours}")).collect();
        if !kept.is_empty() {
            tracing::info!(
                stream = self.as_str(),
                settings = kept.join("; "),
                "kept settings that an operator changed"
            );
        }
    }
}
