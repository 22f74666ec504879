//! How many more requests a lane may start, given its limit, the requests in flight and the outcomes not yet stored.

/// How many attempts whose request was answered may wait for what follows to be stored. A receiver has nothing to do with
/// that, so it does not count as a request; but when the broker is away there has to be an end.
const MAX_RECORDING: usize = 512;
/// Once less than half of them is left, each lane may have one part of so many of what is left. Those that do not hang find
/// something, however many others do.
const PARTS: usize = 8;

/// How many requests may be under way in all lanes before a lane gets only one, if so many are wanted and so many files may be
/// open. Half of these are for connections that are kept for the next request, for who publishes and asks, broker and
/// database.
pub(crate) fn most_in_all(wanted: usize, files: usize) -> usize {
    wanted.min(files / 2)
}

/// How many idle connections are kept beside `most_in_all` requests in flight. The rest of the files is for callers, the
/// broker and the database.
pub(crate) const fn max_idle(most_in_all: usize) -> usize {
    most_in_all / 2
}

/// How many of `most` requests a lane may have while there are `in_all`. One always: it may be the one that does well.
pub(crate) fn share(most: usize, in_all: usize) -> usize {
    let left = most.saturating_sub(in_all);
    let share = if left >= most / 2 { left } else { left / PARTS };
    share.max(1)
}

/// Of so many requests that may be under way, how many may begin, if so many are, and so many attempts are being recorded.
pub(crate) fn room(allowed: usize, under_way: usize, recording: usize) -> usize {
    allowed.saturating_sub(under_way).min(MAX_RECORDING.saturating_sub(recording))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_makes_room_unless_too_much_of_it_is_not_stored() {
        assert_eq!((room(3, 2, 0), room(1, 2, 0), room(3, 1, 1)), (1, 0, 2));
        assert_eq!((room(3, 1, MAX_RECORDING - 1), room(3, 1, MAX_RECORDING)), (1, 0));
    }

    #[test]
    fn lanes_that_hang_leave_something_to_others_and_one_to_each() {
        let most = most_in_all(4_096, 1_024);
        assert_eq!((most, most_in_all(4_096, usize::MAX)), (512, 4_096));
        assert_eq!((share(most, 0), share(most, 256), share(most, 257), share(most, 600)), (512, 256, 31, 1));
        assert_eq!(share(0, 0), 1);
        let (mut in_all, wanted) = (0, 32);
        for _ in 0..40 {
            let before = in_all;
            while in_all - before < wanted.min(share(most, in_all)) {
                in_all += 1;
            }
        }
        assert!(in_all < most, "{in_all}");
    }
}
