//! Enums that the API has beside words, for clients whose compiler checks them.

use crate::{ErrorKind, FailureReason, JobOutcome, LeadLogKind};

impl From<domain::ErrorKind> for ErrorKind {
    fn from(kind: domain::ErrorKind) -> Self {
        match kind {
            domain::ErrorKind::Dns => Self::Dns,
            domain::ErrorKind::Connect => Self::Connect,
            domain::ErrorKind::Tls => Self::Tls,
            domain::ErrorKind::Timeout => Self::Timeout,
            domain::ErrorKind::Reset => Self::Reset,
            domain::ErrorKind::Blocked => Self::Blocked,
            domain::ErrorKind::Protocol => Self::Protocol,
            domain::ErrorKind::Render => Self::Render,
            domain::ErrorKind::Proxy => Self::Proxy,
            domain::ErrorKind::OAuth => Self::Oauth,
        }
    }
}

impl From<domain::delivery::FailureReason> for FailureReason {
    fn from(reason: domain::delivery::FailureReason) -> Self {
        use domain::delivery::FailureReason as Reason;
        match reason {
            Reason::Exhausted => Self::Exhausted,
            Reason::TooOld => Self::TooOld,
            Reason::DestinationDeleted => Self::DestinationDeleted,
            Reason::PayloadGone => Self::PayloadGone,
            Reason::Anonymised => Self::Anonymised,
            Reason::Skipped => Self::Skipped,
            Reason::Loop => Self::Loop,
            Reason::Render => Self::Render,
            Reason::Crashed => Self::Crashed,
        }
    }
}

impl From<domain::job::JobOutcome> for JobOutcome {
    fn from(outcome: domain::job::JobOutcome) -> Self {
        match outcome {
            domain::job::JobOutcome::Completed => Self::Completed,
            domain::job::JobOutcome::Cancelled => Self::Cancelled,
            domain::job::JobOutcome::DestinationDeleted => Self::DestinationDeleted,
        }
    }
}

impl LeadLogKind {
    /// The kind of an entry that a word of the read model names.
    pub fn of_entry(word: &str) -> Self {
        Self::from_str_name(&format!("LEAD_LOG_KIND_{}", word.to_ascii_uppercase())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use domain::{delivery::FailureReason as Reason, job::JobOutcome as Outcome};

    use super::*;

    #[test]
    fn enums_have_the_names_of_the_words() {
        for kind in domain::ErrorKind::ALL {
            assert_eq!(ErrorKind::from(kind).as_str_name(), format!("ERROR_KIND_{}", kind.as_str().to_uppercase()));
        }
        for reason in Reason::ALL {
            let name = format!("FAILURE_REASON_{}", reason.as_str().to_uppercase());
            assert_eq!(FailureReason::from(reason).as_str_name(), name);
        }
        for outcome in Outcome::ALL {
            let name = format!("JOB_OUTCOME_{}", outcome.as_str().to_uppercase());
            assert_eq!(JobOutcome::from(outcome).as_str_name(), name);
        }
    }
}
