//! The concurrency of lanes: how many requests a lane may have in flight, and how many more it may start.

/// How many successful attempts of a lane may wait until their outcome is stored. They do not count as requests in
/// flight. The limit matters while the broker does not answer.
const MAX_RECORDING: usize = 512;
/// If less than half of the limit is left, a lane may take one eighth of the rest. So a lane that makes progress can
/// start requests, even if many other lanes hang.
const PARTS: usize = 8;

/// The limit of the requests in flight in all lanes, given the wanted limit and the number of files that may be open.
/// Above the limit a lane gets only one request. Half of the files are for idle connections, callers, the broker and
/// the database.
pub(crate) fn max_in_flight(wanted: usize, files: usize) -> usize {
    wanted.min(files / 2)
}

/// How many idle connections to receivers are kept beside `max_in_flight` requests in flight. The rest of the files is
/// for callers, the broker and the database.
pub(crate) const fn max_idle(max_in_flight: usize) -> usize {
    max_in_flight / 2
}

/// How many requests a lane may have in flight, given the limit of all lanes and their requests in flight. At least
/// one, because this lane may be the one that makes progress.
pub(crate) fn share(max: usize, in_all: usize) -> usize {
    let left = max.saturating_sub(in_all);
    let share = if left >= max / 2 { left } else { left / PARTS };
    share.max(1)
}

/// How many more requests the lane may start, given its limit, the requests in flight and the outcomes not yet stored.
pub(crate) fn startable(allowed: usize, in_flight: usize, recording: usize) -> usize {
    allowed.saturating_sub(in_flight).min(MAX_RECORDING.saturating_sub(recording))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unstored_outcomes_limit_the_requests_that_may_start() {
        assert_eq!((startable(3, 2, 0), startable(1, 2, 0), startable(3, 1, 1)), (1, 0, 2));
        assert_eq!((startable(3, 1, MAX_RECORDING - 1), startable(3, 1, MAX_RECORDING)), (1, 0));
    }

    #[test]
    fn hanging_lanes_leave_requests_to_others_and_at_least_one_each() {
        let max = max_in_flight(4_096, 1_024);
        assert_eq!((max, max_in_flight(4_096, usize::MAX)), (512, 4_096));
        assert_eq!((share(max, 0), share(max, 256), share(max, 257), share(max, 600)), (512, 256, 31, 1));
        assert_eq!(share(0, 0), 1);
        let (mut in_all, wanted) = (0, 32);
        for _ in 0..40 {
            let before = in_all;
            while in_all - before < wanted.min(share(max, in_all)) {
                in_all += 1;
            }
        }
        assert!(in_all < max, "{in_all}");
    }
}
