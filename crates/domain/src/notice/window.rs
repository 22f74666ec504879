//! Windows: the failures or the new leads of a period, which share one notice.

use jiff::Timestamp;

use crate::{ids::LeadId, outcome::ErrorKind};

/// Failures that share a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub until: Timestamp,
    /// The number of failures in the window.
    pub count: u64,
    /// When the broker stored the first failure.
    pub since: Option<Timestamp>,
    /// At most [`Window::MAX_ERRORS`] different errors; further ones are only counted.
    pub errors: Vec<ErrorCount>,
    /// The sequences of the first failures, at most [`Window::MAX_EXAMPLES`].
    pub examples: Vec<u64>,
}

/// The number of failures with the same error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCount {
    /// The HTTP status; 0 if the delivery ended without another attempt.
    pub status: u16,
    /// Why no response came; `None` if one came, or if there was no attempt.
    pub kind: Option<ErrorKind>,
    pub count: u64,
}

/// Leads that share a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadWindow {
    pub from: Timestamp,
    pub until: Timestamp,
    /// The number of leads in the window.
    pub count: u64,
    /// When the broker stored the first lead.
    pub since: Option<Timestamp>,
    /// The first leads, at most [`LeadWindow::MAX_EXAMPLES`].
    pub examples: Vec<LeadExample>,
}

/// A lead in a notice of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadExample {
    pub lead: LeadId,
    /// When it was received.
    pub received_at: Timestamp,
    /// The sequence of its event in LEADS.
    pub sequence: u64,
}
