//! What can go wrong between a service and the broker.

use crate::Trouble;

/// A cause, as the client library gives it.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong between a service and the broker.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The broker did not answer in time, or is away. Nothing is known about what was asked; it can be repeated.
    #[error("the broker did not answer when asked to {asked}; it may be down or starting")]
    Unavailable {
        /// What it was asked to do.
        asked: &'static str,
        /// What the client library says.
        #[source]
        source: Cause,
    },
    /// The broker answered that it will not. Repeating does not help.
    #[error("the broker refused to {asked}")]
    Refused {
        /// What it was asked to do.
        asked: &'static str,
        /// What it says.
        #[source]
        source: Cause,
    },
    /// The broker answers and cannot store. Nothing was stored; it can be repeated.
    #[error("{}; what was sent was not stored, send it again later", .0.public())]
    CannotStore(Trouble),
    /// Somebody else wrote about the same thing first.
    #[error("somebody else changed the same thing at the same time; read it again and decide anew")]
    LostRace,
    /// No broker was reached.
    #[error("no broker answers at {url}; start nats-server there, or say with --nats-url where it is")]
    NotReached {
        /// Where it was looked for.
        url: String,
        /// What the client library says.
        #[source]
        source: Cause,
    },
    /// There is no TLS with the broker.
    #[error(
        "no TLS with the broker at {url}; --nats-ca has to name the authority that its certificate is signed by, for the \
         host in the URL, and --nats-cert and --nats-key the certificate to show if it asks for one"
    )]
    NoTls {
        /// Where it is.
        url: String,
        /// What the client library says.
        #[source]
        source: Cause,
    },
    /// The broker does not let us in.
    #[error(
        "the broker at {url} refuses the credentials; give them in --nats-url (nats://USER:PASSWORD@HOST) or with --nats-creds"
    )]
    NotAllowed {
        /// Where it is.
        url: String,
    },
    /// The URL of the broker is none.
    #[error(
        "{url:?} is no URL of a broker: {problem}; --nats-url takes nats://HOST:PORT, or several separated by commas, each \
         with NAME:PASSWORD@ or TOKEN@ before the host if the broker asks for it, in which every % : / ? # @ and , is \
         written as %25 %3A %2F %3F %23 %40 and %2C"
    )]
    Url {
        /// What was given, without what may be secret.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The broker cannot be connected to as asked.
    #[error("cannot use the credentials in {file}; --nats-creds has to name a file made by nsc")]
    Credentials {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The broker is too old: earlier versions lose or double scheduled messages.
    #[error(
        "the broker at {url} is nats-server {found}; {needed} or newer is needed, because retries rest on its schedules"
    )]
    TooOld {
        /// Where it is.
        url: String,
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
}

impl JournalError {
    pub(crate) fn unavailable(asked: &'static str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { asked, source: source.into() }
    }

    /// Whether what was asked may work when it is asked again.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Refused { .. } | Self::NotReached { .. } | Self::CannotStore(_))
    }

    /// Whether the reason was logged when it was noticed, so that nothing is new when it is met again.
    pub const fn is_logged(&self) -> bool {
        matches!(self, Self::CannotStore(_))
    }

    pub(crate) fn refused(asked: &'static str, source: impl Into<Cause>) -> Self {
        Self::Refused { asked, source: source.into() }
    }
}
