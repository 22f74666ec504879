//! Why the broker stores nothing, in words for everybody and in words for the operator.

use crate::StreamName;

/// What the operating system says, in the words of Go, when a file cannot be written because there is no room.
const NO_ROOM: [&str; 3] = ["no space left on device", "disk quota exceeded", "not enough space"];
/// The same for other reasons.
const NO_WRITE: [&str; 5] =
    ["input/output error", "read-only file system", "permission denied", "file too large", "bad file descriptor"];

/// Why the broker stores nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its disk has no room. The text is what the broker says.
    DiskFull(String),
    /// It cannot write for another reason. The text is what the broker says.
    CannotWrite(String),
    /// It would exceed a limit of the account or of the stream. The text is what the broker says.
    LimitReached(String),
    /// JetStream is switched off.
    NoJetStream,
    /// The stream was deleted.
    NoStream(StreamName),
    /// No broker of the cluster leads the stream.
    NoLeader(StreamName),
}

impl Trouble {
    /// Reads the answer of a stream that was asked to delete a message that does not exist; `None` if the stream only
    /// says that there is none.
    pub(crate) fn from_storage(answer: &str) -> Option<Self> {
        let lower = answer.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&NO_ROOM) {
            Some(Self::DiskFull(answer.to_owned()))
        } else if has(&NO_WRITE) {
            Some(Self::CannotWrite(answer.to_owned()))
        } else {
            None
        }
    }

    /// In words that everybody may read: without paths.
    pub fn public(&self) -> String {
        match self {
            Self::DiskFull(_) => "disk full: the broker cannot store".into(),
            Self::CannotWrite(_) => "the broker cannot write to its disk".into(),
            Self::LimitReached(_) => "a storage limit of the broker is reached".into(),
            Self::NoJetStream => "JetStream is switched off at the broker".into(),
            Self::NoStream(stream) => format!("the broker has no stream {}", stream.as_str()),
            Self::NoLeader(stream) => format!("no broker of the cluster leads the stream {}", stream.as_str()),
        }
    }

    /// What the broker says about it.
    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::DiskFull(detail) | Self::CannotWrite(detail) | Self::LimitReached(detail) => detail,
            Self::NoJetStream | Self::NoStream(_) | Self::NoLeader(_) => "",
        }
    }

    /// What the operator has to do.
    pub(crate) const fn advice(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => {
                "make room on its disk; leadline up then starts its own nats-server again, another one that runs alone \
                 has to be started again"
            }
            Self::CannotWrite(_) | Self::NoJetStream => "see the log of nats-server; it has to be started again",
            Self::LimitReached(_) => "raise the limit of the account or of the stream, or keep less",
            Self::NoStream(_) => "start a service of Leadline again, which makes the stream",
            Self::NoLeader(_) => "one is elected when most servers of the cluster run",
        }
    }

    /// Whether nats-server stores nothing more until it is started again.
    pub(crate) const fn lasts_until_restart(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::CannotWrite(_) | Self::NoJetStream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_message_is_no_trouble_and_the_public_words_name_no_path() {
        for answer in ["stream store EOF", "no message found", "message not found", "sequence 12 not found"] {
            assert_eq!(Trouble::from_storage(answer), None, "{answer}");
        }
        let full = Trouble::from_storage("write /data/LEADS/msgs/1.blk: no space left on device").unwrap();
        assert!(matches!(full, Trouble::DiskFull(_)));
        assert!(full.public().contains("disk full") && !full.public().contains("/data"), "{}", full.public());
        let broken = Trouble::from_storage("write /data/LEADS/msgs/1.blk: input/output error");
        assert!(matches!(broken, Some(Trouble::CannotWrite(_))));
    }
}
