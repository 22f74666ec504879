//! Error texts for people, and exit codes for scripts: 0, the command succeeded; 1, it was refused or failed; 2, the
//! command line is invalid.

use std::process::ExitCode;

use runtime::{causes, chain_in_words};
use tonic::{Code, Status};

/// The exit code of an invalid command line; clap uses the same.
const USAGE: u8 = 2;

/// The error if the connection ended without an answer. The HTTP port ends connections of gRPC clients like this.
const BROKEN: &str = "the connection ended without an answer: the server was killed, or --grpc-url names another port than \
                      that of gRPC, which is usually 9090";

/// The command line is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The reader of standard output has ended (`| head`); the command did not fail.
#[derive(Debug, thiserror::Error)]
#[error("the reader of standard output has ended")]
pub(crate) struct ReaderGone;

/// The command failed, and its output already says why.
#[derive(Debug, thiserror::Error)]
#[error("the command failed")]
pub(crate) struct AlreadyReported;

pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// Prints the error unless the output already says it, and returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    if error.is::<AlreadyReported>() {
        return ExitCode::FAILURE;
    }
    eprintln!("leadline: {}", in_words(error));
    if error.is::<Usage>() { USAGE.into() } else { ExitCode::FAILURE }
}

/// The error with its causes. The status of a server is shown as its code and text. If no server answered, the causes
/// of the status say why.
fn in_words(error: &anyhow::Error) -> String {
    chain_in_words(error, |error| error.downcast_ref().map_or_else(|| error.to_string(), of_server))
}

fn of_server(status: &Status) -> String {
    // The client created this status itself, because no gRPC server answered.
    if status.code() == Code::Unknown && is_away(status) {
        return format!("{BROKEN} ({})", status.message());
    }
    let what = match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::Unknown | Code::DataLoss => "failed",
        _ => "refused",
    };
    format!("{what} ({}): {}", code_name(status.code()), status.message())
}

/// Whether a call failed because the server is away, and may succeed when it is back. If the server is killed in the
/// middle of a call, it sends no status. The client then creates one, which has a cause.
pub(crate) fn is_away(status: &Status) -> bool {
    let has_cause = causes(status).nth(1).is_some();
    let broken = matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled) && has_cause;
    status.code() == Code::Unavailable || broken
}

/// The name of a code as in the gRPC documents: `INVALID_ARGUMENT`.
pub(crate) fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_broken_connection_counts_as_an_absent_server() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(is_away(&Status::from_error(Box::new(broken))));
        assert!(is_away(&Status::unavailable("going down")));
        assert!(!is_away(&Status::unknown("the server says so")));
        assert!(!is_away(&Status::not_found("no such lead")));
    }

    #[test]
    fn an_error_of_the_server_is_shown_with_its_code() {
        let refused: Result<(), _> = Err(Status::invalid_argument("pace: 0 is too little"));
        let error = refused.context("the job was not started").unwrap_err();
        assert_eq!(in_words(&error), "the job was not started: refused (INVALID_ARGUMENT): pace: 0 is too little");
        assert_eq!(code_name(Code::Ok), "OK");
    }
}
