//! Whether people were told already.

use async_nats::{
    datetime,
    jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use domain::{AccountId, NoticeFact, NoticeId};
use futures::StreamExt as _;
use jiff::Timestamp;
use wire::Record as _;

use crate::{Journal, JournalError, StreamName, subjects};

const ASKED: &str = "tell what people were told";
/// How many notices are read at once.
const FETCH: usize = 500;

impl Journal {
    /// Whether this notice was sent, at `since` or later. Reads all notices of the account from then on, so it is for
    /// the rare case that a message came again.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn was_told(
        &self,
        account: &AccountId,
        notice: NoticeId,
        since: Timestamp,
    ) -> Result<bool, JournalError> {
        let unavailable = |e: async_nats::Error| JournalError::unavailable(ASKED, e);
        let start_time = datetime::from_nanos(since.as_nanosecond()).map_err(unavailable)?;
        let config = pull::Config {
            filter_subject: subjects::notices_of(account),
            deliver_policy: DeliverPolicy::ByStartTime { start_time },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: crate::ANSWER_DEADLINE,
            ..pull::Config::default()
        };
        let context = self.context();
        let consumer: PullConsumer = context
            .create_consumer_on_stream(config, StreamName::Notices.as_str())
            .await
            .map_err(|e| unavailable(e.into()))?;
        loop {
            let batch = consumer.fetch().max_messages(FETCH).messages().await;
            let mut batch = batch.map_err(|e| unavailable(e.into()))?;
            let mut read = 0;
            while let Some(message) = batch.next().await {
                read += 1;
                let sent = NoticeFact::decode(message.map_err(unavailable)?.payload.clone());
                if sent.is_ok_and(|sent| sent.notice() == notice) {
                    return Ok(true);
                }
            }
            if read == 0 {
                return Ok(false);
            }
        }
    }
}
