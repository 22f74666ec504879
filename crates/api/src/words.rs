//! Conversions to the enums of the API. The API shows each of these values as a word as well; the enums are for clients
//! whose compiler checks them.

use domain::{delivery::RetryRefusal, registry};

use crate::{DeactivationCause, ErrorKind, FailureReason, JobOutcome, LeadLogKind, ParkedState, RetryRefusalReason};

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

impl From<registry::DeactivationCause> for DeactivationCause {
    fn from(cause: registry::DeactivationCause) -> Self {
        match cause {
            registry::DeactivationCause::Exhausted => Self::Exhausted,
            registry::DeactivationCause::Gone => Self::Gone,
        }
    }
}

impl From<RetryRefusal> for RetryRefusalReason {
    fn from(refusal: RetryRefusal) -> Self {
        match refusal {
            RetryRefusal::NotFailed(_) => Self::NotFailed,
            RetryRefusal::LeadAnonymised => Self::LeadAnonymised,
            RetryRefusal::InterfaceDeleted => Self::InterfaceDeleted,
            RetryRefusal::DestinationDeleted => Self::DestinationDeleted,
            RetryRefusal::PayloadGone => Self::PayloadGone,
            RetryRefusal::Unknown => Self::Unknown,
        }
    }
}

impl ParkedState {
    /// The word for people.
    pub fn word(self) -> String {
        self.as_str_name().trim_start_matches("PARKED_STATE_").to_ascii_lowercase()
    }
}

impl LeadLogKind {
    /// The kind that a word of the read model names.
    pub fn of_entry(word: &str) -> Self {
        Self::from_str_name(&format!("LEAD_LOG_KIND_{}", word.to_ascii_uppercase())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use domain::{DeliveryStatus, delivery::FailureReason as Reason, job::JobOutcome as Outcome};

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
        for cause in registry::DeactivationCause::ALL {
            let name = format!("DEACTIVATION_CAUSE_{}", cause.as_str().to_uppercase());
            assert_eq!(DeactivationCause::from(cause).as_str_name(), name);
        }
        for refusal in [
            RetryRefusal::NotFailed(DeliveryStatus::Held),
            RetryRefusal::LeadAnonymised,
            RetryRefusal::InterfaceDeleted,
            RetryRefusal::DestinationDeleted,
            RetryRefusal::PayloadGone,
            RetryRefusal::Unknown,
        ] {
            let name = format!("RETRY_REFUSAL_REASON_{}", refusal.as_str().to_uppercase());
            assert_eq!(RetryRefusalReason::from(refusal).as_str_name(), name);
        }
        assert_eq!(ParkedState::Deactivated.word(), "deactivated");
    }
}
