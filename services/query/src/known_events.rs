//! Answers ingest's questions about the events of the read model, so that a repeated event id is recognised after the
//! broker has dropped it.

use events::known_events::{
    EventKey, KnownEventsAnswer, KnownEventsPage, KnownEventsPageAnswer, KnownEventsPageQuestion, KnownEventsQuestion,
};
use journal::{Journal, JournalError, Requests, StreamName};
use read_model::{Store, StoreError};
use runtime::{ErrorChain as _, Platform};

/// The maximum number of events in a page. With the longest ids a page has 400 KB, and the broker accepts 1 MiB.
const MAX_PAGE: u32 = 2_000;

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
enum NoPage {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Starts to answer. Questions that are sent after this returns are answered.
///
/// # Errors
/// Fails if the connection to the broker is closed.
pub(crate) async fn start(journal: &Journal, store: &Store, platform: &Platform) -> Result<(), JournalError> {
    let (questions, pages) =
        (journal.known_events().questions().await?, journal.known_events().page_questions().await?);
    let (journal, store, drain) = (journal.clone(), store.clone(), platform.drain.clone());
    platform.drain.spawn("known events", async move {
        // A page takes longer than a question that a publisher waits for, and must not delay it.
        let answering = async { tokio::join!(answer(questions, &store), answer_pages(pages, &journal, &store)) };
        tokio::select! {
            _ = answering => {}
            () = drain.stopping() => {}
        }
    });
    Ok(())
}

async fn answer(mut questions: Requests<KnownEventsQuestion>, store: &Store) {
    while let Some(question) = questions.next().await {
        let known = match store.known_events(&question.content.0).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(error = error.chain(), "cannot look up known events");
                vec![]
            }
        };
        question.answer(&KnownEventsAnswer(known)).await;
    }
}

async fn answer_pages(mut questions: Requests<KnownEventsPageQuestion>, journal: &Journal, store: &Store) {
    while let Some(question) = questions.next().await {
        let page = match page(journal, store, question.content.0.as_ref()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(error = error.chain(), "cannot read a page of known events");
                None
            }
        };
        question.answer(&KnownEventsPageAnswer(page)).await;
    }
}

/// The events after a key. `None` if the read model does not have all anonymised events yet, because LEADS no longer
/// has them.
async fn page(journal: &Journal, store: &Store, after: Option<&EventKey>) -> Result<Option<KnownEventsPage>, NoPage> {
    let anonymised = journal.stream(StreamName::Anonymised).last_sequence().await?;
    if store.checkpoint(StreamName::Anonymised).await? < anonymised {
        return Ok(None);
    }
    // The checkpoint is read before the rows, so that no event before it is missed.
    let checkpoint = store.checkpoint(StreamName::Leads).await?;
    Ok(Some(KnownEventsPage { events: store.events_after(after, MAX_PAGE).await?, checkpoint }))
}
