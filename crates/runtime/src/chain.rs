//! The one way to print an error with its causes. `Display` of an error does not print its source, so a log line with
//! the error alone loses the cause. (For errors of anyhow use [`chain_of`].)
//!
//! The test `chain/lint.rs` refuses other calls of `Error::source`, log lines that print an error in another way, and
//! errors that print their source; Clippy refuses the chains of anyhow (`clippy.toml`).

use std::{error::Error, iter};

#[cfg(test)]
mod lint;

pub trait ErrorChain {
    /// The error and its causes in one line, from the outermost on, separated by `: `. A cause is left out if the text
    /// before already contains it.
    fn chain(&self) -> String;
}

impl<E: Error + ?Sized> ErrorChain for E {
    fn chain(&self) -> String {
        joined(self.to_string(), self.source(), ToString::to_string)
    }
}

/// As [`ErrorChain::chain`], for an error of anyhow. The `{:#}` of anyhow prints a cause twice if two errors contain
/// it.
pub fn chain_of(error: &anyhow::Error) -> String {
    chain_in_words(error, ToString::to_string)
}

/// As [`chain_of`], with the caller's words for each error: for errors whose `Display` is not for people.
pub fn chain_in_words(error: &anyhow::Error, words: impl Fn(&(dyn Error + 'static)) -> String) -> String {
    let mut errors = causes(error.as_ref());
    let outermost = errors.next().map(&words).unwrap_or_default();
    joined(outermost, errors.next(), words)
}

/// An error and its causes, from the outermost on, for callers that look for one of them.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

fn joined(
    mut text: String,
    cause: Option<&(dyn Error + 'static)>,
    words: impl Fn(&(dyn Error + 'static)) -> String,
) -> String {
    for cause in cause.into_iter().flat_map(causes) {
        let next = words(cause);
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file")]
    struct Unreadable(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Wrapper(#[from] Unreadable);

    /// Its `Display` prints the source, as that of many errors of other crates does.
    #[derive(Debug)]
    struct Repeats(Wrapper);

    impl std::fmt::Display for Repeats {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "cannot start: {}", self.0)
        }
    }

    impl Error for Repeats {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_chain_names_each_cause_once() {
        let unreadable = || Unreadable(io::Error::other("disk is gone"));
        assert_eq!(unreadable().chain(), "cannot read the file: disk is gone");
        assert_eq!(Wrapper(unreadable()).chain(), "cannot read the file: disk is gone");
        assert_eq!(Repeats(Wrapper(unreadable())).chain(), "cannot start: cannot read the file: disk is gone");
        let error = anyhow::Error::new(Repeats(Wrapper(unreadable()))).context("disk is gone, so nothing works");
        assert_eq!(chain_of(&error), "disk is gone, so nothing works: cannot start: cannot read the file");
    }

    #[test]
    fn words_of_the_caller_replace_those_of_an_error() {
        let error = anyhow::Error::new(Unreadable(io::Error::other("disk is gone"))).context("cannot start");
        let words = |error: &(dyn Error + 'static)| match error.downcast_ref::<Unreadable>() {
            Some(_) => "no file".to_owned(),
            None => error.to_string(),
        };
        assert_eq!(chain_in_words(&error, words), "cannot start: no file: disk is gone");
    }

    #[test]
    fn causes_begin_with_the_error_itself() {
        let error = Wrapper(Unreadable(io::Error::other("disk is gone")));
        assert!(causes(&error).next().unwrap().is::<Wrapper>());
        assert!(causes(&error).any(|cause| cause.is::<io::Error>()));
    }
}
