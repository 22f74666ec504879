//! Why the broker stores nothing, in a form for anonymous callers and with details for the operator.

use crate::streams::StreamName;

/// The texts of Go for errors of the operating system when a disk is full.
const NO_ROOM: [&str; 3] = ["no space left on device", "disk quota exceeded", "not enough space"];
/// The texts of Go for other failed writes.
const NO_WRITE: [&str; 5] =
    ["input/output error", "read-only file system", "permission denied", "file too large", "bad file descriptor"];

/// Why the broker stores nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageFault {
    /// The disk of the broker is full. Holds the answer of the broker.
    DiskFull(String),
    /// The broker cannot write for another reason. Holds the answer of the broker.
    CannotWrite(String),
    /// The account or the broker has reached a limit. Holds the answer of the broker.
    LimitReached(String),
    /// The stream has reached its limit. Holds the answer of the broker.
    StreamFull(String),
    NoJetStream,
    /// The stream was deleted.
    NoStream(StreamName),
    /// No server of the cluster leads the stream.
    NoLeader(StreamName),
}

impl StorageFault {
    /// Reads the answer of a stream to the deletion of a message that does not exist; `None` if the stream only reports
    /// that the message is missing.
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

    /// The text for anonymous callers. It names no path.
    pub fn public(&self) -> String {
        match self {
            Self::DiskFull(_) => "disk full: the broker cannot store messages".into(),
            Self::CannotWrite(_) => "the broker cannot write to its disk".into(),
            Self::LimitReached(_) => "a storage limit of the broker is reached".into(),
            Self::StreamFull(_) => "a stream of the broker is full".into(),
            Self::NoJetStream => "JetStream is off at the broker".into(),
            Self::NoStream(stream) => format!("the broker has no stream {}", stream.as_str()),
            Self::NoLeader(stream) => format!("no server of the cluster leads the stream {}", stream.as_str()),
        }
    }

    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::DiskFull(detail)
            | Self::CannotWrite(detail)
            | Self::LimitReached(detail)
            | Self::StreamFull(detail) => detail,
            Self::NoJetStream | Self::NoStream(_) | Self::NoLeader(_) => "",
        }
    }

    /// What the operator should do.
    pub(crate) const fn advice(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => {
                "make room on its disk; leadline up then restarts its own nats-server, any other nats-server without \
                 replicas has to be restarted"
            }
            Self::CannotWrite(_) | Self::NoJetStream => "see the log of nats-server, then restart it",
            Self::LimitReached(_) => {
                "raise the limit of the account or of the broker (max_file_store), or keep events for a shorter time"
            }
            Self::StreamFull(_) => "raise --stream-max-bytes, or keep events for a shorter time",
            Self::NoStream(_) => "restart a service of Leadline, which creates the stream",
            Self::NoLeader(_) => "start servers until most of the cluster runs; it then elects a leader",
        }
    }

    /// Whether only the outcome of an append shows this fault and its end.
    pub(crate) const fn is_limit(&self) -> bool {
        matches!(self, Self::LimitReached(_) | Self::StreamFull(_))
    }

    /// Whether nats-server stores nothing until it is restarted.
    pub(crate) const fn lasts_until_restart(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::CannotWrite(_) | Self::NoJetStream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_message_is_no_fault() {
        for answer in ["stream store EOF", "no message found", "message not found", "sequence 12 not found"] {
            assert_eq!(StorageFault::from_storage(answer), None, "{answer}");
        }
        let full = StorageFault::from_storage("write /data/LEADS/msgs/1.blk: no space left on device").unwrap();
        assert!(matches!(full, StorageFault::DiskFull(_)));
        assert!(full.public().contains("disk full") && !full.public().contains("/data"), "{}", full.public());
        let broken = StorageFault::from_storage("write /data/LEADS/msgs/1.blk: input/output error");
        assert!(matches!(broken, Some(StorageFault::CannotWrite(_))));
    }
}
