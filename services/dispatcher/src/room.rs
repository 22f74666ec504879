//! How many more requests a lane may begin.

/// How many attempts whose request was answered may wait for what follows to be stored. A receiver has nothing to do with
/// that, so it does not count as a request; but when the broker is away there has to be an end.
const MOST_RECORDING: usize = 512;

/// Of so many requests that may be under way, how many may begin, if so many are, and so many attempts are being recorded.
pub(crate) fn room(allowed: usize, under_way: usize, recording: usize) -> usize {
    allowed.saturating_sub(under_way).min(MOST_RECORDING.saturating_sub(recording))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_makes_room_unless_too_much_of_it_is_not_stored() {
        assert_eq!((room(3, 2, 0), room(1, 2, 0), room(3, 1, 1)), (1, 0, 2));
        assert_eq!((room(3, 1, MOST_RECORDING - 1), room(3, 1, MOST_RECORDING)), (1, 0));
    }
}
