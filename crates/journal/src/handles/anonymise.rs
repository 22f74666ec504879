//! The request to anonymise a lead.

use domain::{AccountId, AnonymisationFact, LeadId, LeadSequence, anonymisation::LeadAnonymised};
use jiff::Timestamp;
use runtime::{publishing, trace::TraceContext};
use tracing::Instrument as _;

use crate::{error::JournalError, handles::Anonymised, streams::StreamName};

impl Anonymised<'_> {
    /// Appends the fact that a lead is anonymised, with its events up to a sequence of LEADS. Dispatchers, projector
    /// and eraser act on the fact. Returns its sequence.
    ///
    /// # Errors
    /// When the broker does not confirm the fact.
    pub async fn anonymise(
        self,
        account: &AccountId,
        lead: LeadId,
        until: LeadSequence,
        by: String,
        trace: Option<&TraceContext>,
    ) -> Result<u64, JournalError> {
        let (span, trace) =
            TraceContext::enter(trace, || publishing!(StreamName::Anonymised, leadline.account.id = %account));
        let fact = LeadAnonymised { account: account.clone(), lead, until, at: Timestamp::now(), by };
        let fact = AnonymisationFact::LeadAnonymised(fact);
        Ok(self.append(&fact, &trace).instrument(span).await?.sequence)
    }
}
