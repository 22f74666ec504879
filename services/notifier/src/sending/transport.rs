//! The transport: it sends a mail to the mail server unless a pause is on, or writes it into the outbox if there is no
//! mail server.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use domain::NoticeId;
use runtime::Latch;
use tokio::time::Instant;

use crate::{
    measured,
    sending::{
        outbox,
        pauses::{Pauses, Tried, Wait},
        refusal::{Judgement, enhanced, judge},
        smtp::{Failure, MailServer},
    },
    writing::email::Mail,
};

/// A refusal that an operator can correct makes the part `mail` not ready if this many recipients in a row were
/// refused. A single refusal may come from a rule of the recipient. It is enough only while the mail server has taken
/// no mail since the start.
const MAX_REFUSED_BY_POLICY: usize = 2;
/// How long a mail waits after a write to the outbox failed.
const OUTBOX_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The mail was tried and refused for now.
    #[error("{why}")]
    Later {
        after: Duration,
        /// The reply of the mail server.
        why: String,
    },
    /// The mail was not tried, as an earlier refusal paused its recipient or the mail server.
    #[error("not tried again: {}", .0.why)]
    Paused(Wait),
    /// The mail was refused for good.
    #[error("{0}")]
    Refused(String),
    #[error("cannot write to the outbox {folder}")]
    Outbox {
        folder: String,
        #[source]
        source: io::Error,
    },
}

impl TransportError {
    /// The delay of the next try; `None` if the mail was refused for good.
    pub(crate) const fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Later { after, .. } => Some(*after),
            Self::Paused(wait) => Some(wait.after),
            Self::Outbox { .. } => Some(OUTBOX_RETRY_DELAY),
            Self::Refused(_) => None,
        }
    }

    pub(crate) const fn was_tried(&self) -> bool {
        !matches!(self, Self::Paused(_))
    }
}

#[derive(Debug)]
pub(crate) struct Transport {
    way: Way,
    pauses: Mutex<Pauses>,
    /// Whether the mail server took a mail since the start.
    has_sent: AtomicBool,
    /// The readiness of `mail`. A recipient that is refused for now does not change it.
    latch: Latch,
}

#[derive(Debug)]
enum Way {
    Smtp(Box<MailServer>),
    Outbox(PathBuf),
}

impl Transport {
    /// `hello` is the domain with which the client greets the mail server, unless the URL names another one.
    pub(crate) fn new(smtp_url: Option<&str>, outbox: &Path, hello: &str, latch: Latch) -> anyhow::Result<Self> {
        let way = match smtp_url {
            Some(url) => Way::Smtp(Box::new(MailServer::new(url, hello).context(
                "--smtp-url is not a URL such as smtp://mail.example:25 or smtps://user:password@mail.example",
            )?)),
            None => {
                let failed = || format!("--outbox: cannot create the folder {}", outbox.display());
                fs::create_dir_all(outbox).with_context(failed)?;
                runtime::private::tighten(outbox);
                Way::Outbox(outbox.to_owned())
            }
        };
        latch.ready();
        Ok(Self { way, pauses: Mutex::default(), has_sent: AtomicBool::new(false), latch })
    }

    /// How long the mail server is paused for all recipients; `None` if it is not.
    pub(crate) fn wait(&self, precedence: bool) -> Option<Wait> {
        self.pauses().server_wait(precedence, Instant::now())
    }

    /// Returns once the mail server has taken the mail, or the file is written.
    pub(crate) async fn send(&self, mail: &Mail, precedence: bool) -> Result<(), TransportError> {
        let sent = self.hand_over(mail, precedence).await;
        match &sent {
            Ok(()) => measured::sent(),
            Err(TransportError::Later { .. }) => measured::postponed("refused"),
            // Counted although the mail was not tried.
            Err(TransportError::Paused(_)) => measured::postponed("paused"),
            Err(TransportError::Outbox { .. }) => measured::postponed("outbox"),
            // Counted as given up when the mailer records it.
            Err(TransportError::Refused(_)) => {}
        }
        sent
    }

    async fn hand_over(&self, mail: &Mail, precedence: bool) -> Result<(), TransportError> {
        match &self.way {
            Way::Smtp(server) => server.in_turn(precedence, self.try_server(server, mail, precedence)).await,
            Way::Outbox(folder) => {
                let written = outbox::write(folder, mail.notice, &mail.recipient, &mail.message.formatted());
                let written =
                    written.map_err(|source| TransportError::Outbox { folder: folder.display().to_string(), source });
                match &written {
                    Ok(()) => self.latch.ready(),
                    // Anyone may read the readiness, so it does not name the folder.
                    Err(_) => self.latch.not_ready("cannot write to the outbox"),
                }
                written
            }
        }
    }

    async fn try_server(&self, server: &MailServer, mail: &Mail, precedence: bool) -> Result<(), TransportError> {
        self.pauses().admit(&mail.recipient, precedence, Instant::now()).map_err(TransportError::Paused)?;
        match Box::pin(server.send(&mail.from, &mail.to, &mail.message)).await {
            Ok(()) => {
                self.pauses().report(&mail.recipient, Tried::Answered, Instant::now());
                self.has_sent.store(true, Ordering::Relaxed);
                self.latch.ready();
                Ok(())
            }
            Err(failure) => Err(self.note(&mail.recipient, &failure)),
        }
    }

    fn note(&self, recipient: &str, failure: &Failure) -> TransportError {
        let Failure { stage, code, text } = failure;
        let why = format!("the mail server refuses at {}: {text}", stage.as_str());
        let judgement = judge(*stage, *code, text);
        let tried = match judgement {
            Judgement::GiveUp => Tried::Answered,
            Judgement::RecipientLater | Judgement::OperatorLater => Tried::Recipient(why.clone()),
            Judgement::ServerLater => Tried::Server(why.clone()),
        };
        let (after, refused) = {
            let mut pauses = self.pauses();
            (pauses.report(recipient, tried, Instant::now()), pauses.refused_in_a_row())
        };
        match judgement {
            Judgement::GiveUp => self.latch.ready(),
            Judgement::ServerLater => {
                tracing::warn!(why, ?after, "mail server accepts no mails now; retrying");
                self.latch.not_ready(public(failure));
            }
            Judgement::OperatorLater => {
                tracing::error!(
                    recipient,
                    why,
                    ?after,
                    "mail server refused the sender or the installation; check --mail-from and --smtp-url; retrying"
                );
                if refused >= MAX_REFUSED_BY_POLICY || !self.has_sent.load(Ordering::Relaxed) {
                    self.latch.not_ready(public(failure));
                }
            }
            Judgement::RecipientLater => {
                tracing::warn!(recipient, why, ?after, "mail server refused recipient for now; retrying");
            }
        }
        if judgement == Judgement::GiveUp { TransportError::Refused(why) } else { TransportError::Later { after, why } }
    }

    /// Whether sent mails stay in the outbox.
    pub(crate) const fn keeps_mails(&self) -> bool {
        matches!(self.way, Way::Outbox(_))
    }

    /// Removes the mails about a notice from the outbox.
    pub(crate) fn forget(&self, notice: NoticeId) -> Result<(), TransportError> {
        match &self.way {
            Way::Smtp(_) => Ok(()),
            Way::Outbox(folder) => outbox::remove(folder, notice)
                .map_err(|source| TransportError::Outbox { folder: folder.display().to_string(), source }),
        }
    }

    fn pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure in words that anyone may read. The reply of the server may name a recipient, so only the log has it.
fn public(failure: &Failure) -> String {
    let stage = failure.stage.as_str();
    match (failure.code, enhanced(&failure.text)) {
        (Some(code), Some((class, subject, detail))) => {
            format!("the mail server refuses mails at {stage} with {code} {class}.{subject}.{detail}")
        }
        (Some(code), None) => format!("the mail server refuses mails at {stage} with {code}"),
        (None, _) => "the mail server does not answer".to_owned(),
    }
}
