//! Errors of the journal.

use crate::connection::storage_fault::StorageFault;

/// An error of the client library.
type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The broker did not answer in time, or is disconnected. Whether the operation took effect is unknown; it can be
    /// repeated.
    #[error("cannot {operation}: the broker did not answer; it may be down or starting")]
    Unavailable {
        /// What failed, as an infinitive.
        operation: &'static str,
        #[source]
        source: Cause,
    },
    /// The broker refused the operation for an unknown reason, so a retry may help.
    #[error("the broker refused to {operation}")]
    Refused {
        /// What failed, as an infinitive.
        operation: &'static str,
        /// The answer of the broker.
        #[source]
        source: Cause,
    },
    /// The broker refuses the settings of a stream. Waiting does not help.
    #[error("the broker refuses the stream {stream}: {advice}")]
    Stream {
        stream: &'static str,
        /// What the operator should do.
        advice: &'static str,
        #[source]
        source: Cause,
    },
    /// The broker answers but cannot store. Nothing was stored; the operation can be repeated.
    #[error("{}; nothing was stored, try again later", .0.public())]
    CannotStore(StorageFault),
    /// Another process stored a fact about the same entity first.
    #[error("another process changed the same entity first; read it again and retry")]
    LostRace,
    #[error("no broker answers at {url}; start nats-server there, or name its address with --nats-url")]
    NotReached {
        url: String,
        #[source]
        source: Cause,
    },
    #[error(
        "TLS with the broker at {url} failed; --nats-ca has to name the authority that signed its certificate for the \
         host in the URL, and --nats-cert and --nats-key the client certificate, if the broker asks for one"
    )]
    NoTls {
        url: String,
        #[source]
        source: Cause,
    },
    #[error(
        "the broker at {url} refuses the credentials; give them in --nats-url (nats://USER:PASSWORD@HOST) or with --nats-creds"
    )]
    NotAllowed { url: String },
    #[error(
        "{url:?} is not the URL of a broker: {problem}; --nats-url takes nats://HOST:PORT, or several separated by commas, each \
         with NAME:PASSWORD@ or TOKEN@ before the host if the broker asks for it; write every % : / ? # @ and , in them \
         as %25 %3A %2F %3F %23 %40 and %2C"
    )]
    Url {
        /// The given text, without the part that may be secret.
        url: String,
        problem: String,
    },
    #[error("cannot use the credentials in {file}; --nats-creds has to name a file made by nsc")]
    Credentials {
        file: String,
        #[source]
        source: std::io::Error,
    },
    /// Older versions lose or duplicate scheduled messages.
    #[error(
        "the broker at {url} is nats-server {found}; upgrade it to {needed} or newer, because retries rely on its schedules"
    )]
    TooOld { url: String, found: String, needed: &'static str },
}

impl JournalError {
    pub(crate) fn unavailable(operation: &'static str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { operation, source: source.into() }
    }

    /// Whether the operation may succeed when it is repeated.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Refused { .. } | Self::NotReached { .. } | Self::CannotStore(_))
    }

    /// Whether the cause was logged when it was noticed, so that callers need not log it again.
    pub const fn is_logged(&self) -> bool {
        matches!(self, Self::CannotStore(_))
    }

    pub(crate) fn refused(operation: &'static str, source: impl Into<Cause>) -> Self {
        Self::Refused { operation, source: source.into() }
    }
}
