//! The kinds of notices.

/// The kind of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Failed deliveries.
    Error,
    /// A destination that a rule switched off.
    Deactivation,
    /// A destination that fails repeatedly.
    RepeatedFailures,
    /// A destination that works again.
    Recovery,
    /// A new lead.
    Lead,
    /// The request to the owner of an address to confirm it.
    Confirmation,
}

impl NoticeKind {
    #[rustfmt::skip]
    pub const ALL: [Self; 6] = [
        Self::Error, Self::Deactivation, Self::RepeatedFailures, Self::Recovery, Self::Lead, Self::Confirmation,
    ];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Deactivation => "deactivation",
            Self::RepeatedFailures => "repeated_failures",
            Self::Recovery => "recovery",
            Self::Lead => "lead",
            Self::Confirmation => "confirmation",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether its mails are sent before those of other kinds. Such a notice says that leads do not arrive, or that
    /// they arrive again.
    pub const fn has_precedence(self) -> bool {
        match self {
            Self::Error | Self::Deactivation | Self::RepeatedFailures | Self::Recovery => true,
            Self::Lead | Self::Confirmation => false,
        }
    }
}
