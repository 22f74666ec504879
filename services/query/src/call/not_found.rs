//! The status of a call about an entity that does not exist. It may have existed before the start of history.

use std::time::Duration;

use domain::{AccountId, Registry};
use read_model::History;
use tonic::Status;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The status of a call about an unknown entity. `kind` is for programs, such as `DELIVERY`.
pub(crate) fn in_history(
    history: History,
    registry: &Registry,
    account: Option<&AccountId>,
    kind: &str,
    what: &str,
) -> Status {
    let account = account.and_then(|account| registry.account(account));
    let kept = account.map_or(history.keep_history, |entry| history.of(&entry.account));
    api::status::not_found(kind, format!("{what}; history is kept for {}", in_days(kept)))
}

fn in_days(kept: Duration) -> String {
    match kept.as_secs() / DAY.as_secs() {
        0 => format!("{kept:?}"),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_length_of_history() {
        let history = History { keep_history: DAY * 400 };
        let status = in_history(history, &Registry::default(), None, "DELIVERY", "there is no delivery 7");
        assert_eq!(status.message(), "there is no delivery 7; history is kept for 400 days");
        assert_eq!(in_days(DAY), "1 day");
        assert_eq!(in_days(Duration::from_secs(90)), "90s");
    }
}
