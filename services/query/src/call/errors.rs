//! The statuses of calls that fail for a reason of the server. The causes that an operator has to know are logged here.

use api::status::{internal, unavailable};
use journal::{FreshnessError, JournalError};
use read_model::{StoreError, read_barrier::Stale};
use runtime::ErrorChain as _;
use tonic::Status;

/// The status of a call during which the database failed.
pub(crate) fn failed(error: StoreError) -> Status {
    tracing::error!(error = error.chain(), "cannot read the read model");
    unavailable("the read model does not answer now; repeat the call")
}

/// The status of a call that needs a newer read model.
pub(crate) fn stale(stale: Stale) -> Status {
    match stale {
        Stale::Store(error) => failed(error),
        Stale::Journal(error) => unread(error),
        Stale::Behind => unavailable(stale.to_string()),
    }
}

/// The status of a call during which the broker failed.
pub(crate) fn unread(error: JournalError) -> Status {
    tracing::warn!(error = error.chain(), "cannot read the journal; refused the call");
    unavailable(format!("cannot read the journal: {error}; repeat the call"))
}

/// The status of a call that needs the latest configuration.
pub(crate) fn unknown_configuration(why: FreshnessError) -> Status {
    unavailable(format!("the latest configuration is not known: {why}; repeat the call"))
}

/// The status of a call that needs random numbers.
pub(crate) fn no_randomness(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = error.chain(), "cannot get random numbers from the system");
    internal("cannot get random numbers from the system")
}

/// The status of a call that fails because of an error in this program.
pub(crate) fn impossible(error: impl std::error::Error) -> Status {
    tracing::error!(error = error.chain(), "call failed because of an internal error");
    internal(error.to_string())
}
