//! The results of the mails of one notice.

use runtime::ErrorChain as _;

use crate::sending::transport::TransportError;

/// The recipients of a notice that got a mail, and those that did not.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) reached: Vec<String>,
    pub(crate) unreached: Vec<String>,
    /// The reason of the first refusal that is final.
    pub(crate) reason: Option<String>,
    /// The temporary refusal that decides when the notice is redelivered; `None` if there is none.
    pub(crate) later: Option<TransportError>,
}

impl Results {
    pub(crate) fn add(&mut self, recipient: &str, error: TransportError, late: bool) {
        self.unreached.push(recipient.to_owned());
        let is_final = error.again_after().is_none();
        // A refusal is a reason to give up only if it is final, or if the time for retries is over.
        if is_final || late {
            self.reason.get_or_insert_with(|| error.chain());
        }
        let sooner = match (&self.later, error.again_after()) {
            (Some(later), Some(after)) => later.again_after().is_none_or(|other| after < other) && error.was_tried(),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if sooner {
            self.later = Some(error);
        }
    }
}
