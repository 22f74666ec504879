//! Tells ingest which events the read model has, so that a repeated event id is recognised after the broker has dropped
//! it.

use journal::{EventQuestions, Journal, JournalError};
use runtime::{ErrorChain as _, Platform};

use crate::store::Store;

/// Starts to answer. Every question that is sent after this returns is answered.
///
/// # Errors
/// Fails if the connection to the broker is closed.
pub(crate) async fn start(journal: &Journal, store: &Store, platform: &Platform) -> Result<(), JournalError> {
    let questions = journal.questions_about_events().await?;
    let (store, drain) = (store.clone(), platform.drain.clone());
    platform.drain.spawn("known events", async move {
        tokio::select! {
            () = answer(questions, &store) => {}
            () = drain.stopping() => {}
        }
    });
    Ok(())
}

async fn answer(mut questions: EventQuestions, store: &Store) {
    while let Some(question) = questions.next().await {
        let leads = match store.leads_of_events(&question.events).await {
            Ok(leads) => leads,
            Err(error) => {
                tracing::warn!(error = error.chain(), "cannot look up known events");
                vec![]
            }
        };
        question.answer(leads).await;
    }
}
