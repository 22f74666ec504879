//! Getting a notice there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use domain::NoticeId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor, transport::smtp};

use crate::letter::Letter;

/// How long the mail server may take for one step.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a notice did not go out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// The mail server cannot take it now.
    #[error("the mail server cannot take a mail now")]
    Later(#[source] smtp::Error),
    /// It will never be taken.
    #[error("{0}")]
    Refused(String),
    /// The outbox cannot be written to.
    #[error("cannot write to the outbox {folder}")]
    Outbox {
        /// The folder.
        folder: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl PostError {
    /// Whether trying again would be refused again.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Whether the mail server said nothing, so that it has nothing to say about other mails either.
    pub(crate) fn is_away(&self) -> bool {
        match self {
            Self::Later(error) => error.status().is_none(),
            Self::Outbox { .. } => true,
            Self::Refused(_) => false,
        }
    }

    /// In words that everybody may read: without the folder.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Outbox { .. } => "cannot write to the outbox".into(),
            Self::Later(_) | Self::Refused(_) => self.to_string(),
        }
    }

    /// All of it in one line.
    pub(crate) fn with_causes(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

/// Where notices go.
#[derive(Debug)]
pub(crate) enum Post {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Outbox(PathBuf),
}

impl Post {
    pub(crate) fn new(smtp_url: Option<&str>, outbox: &Path) -> anyhow::Result<Self> {
        match smtp_url {
            Some(url) => {
                // The URL may hold a password, so it is not repeated.
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context(
                    "--smtp-url is no URL such as smtp://mail.example:25 or smtps://user:password@mail.example",
                )?;
                Ok(Self::Smtp(builder.timeout(Some(SMTP_TIMEOUT)).build()))
            }
            None => {
                let failed = || format!("--outbox: the folder {} cannot be made", outbox.display());
                fs::create_dir_all(outbox).with_context(failed)?;
                runtime::private::tighten(outbox);
                Ok(Self::Outbox(outbox.to_owned()))
            }
        }
    }

    /// Returns once the mail server has taken the mail, or the file is written.
    pub(crate) async fn send(&self, letter: &Letter, recipient: &str, mail: Message) -> Result<(), PostError> {
        match self {
            Self::Smtp(transport) => transport.send(mail).await.map(drop).map_err(judge),
            Self::Outbox(folder) => write(folder, letter, recipient, &mail.formatted())
                .map_err(|source| PostError::Outbox { folder: folder.display().to_string(), source }),
        }
    }
}

impl Post {
    /// Whether mails lie here after they were sent.
    pub(crate) const fn keeps_mails(&self) -> bool {
        matches!(self, Self::Outbox(_))
    }

    /// Removes the mails about a notice from the outbox.
    pub(crate) fn forget(&self, notice: NoticeId) -> Result<(), PostError> {
        match self {
            Self::Smtp(_) => Ok(()),
            Self::Outbox(folder) => remove(folder, &notice.to_string())
                .map_err(|source| PostError::Outbox { folder: folder.display().to_string(), source }),
        }
    }
}

/// Whether a mail that was not taken may be taken later. What the server says about *us* is for the operator to put
/// right, and the mail waits meanwhile.
fn judge(error: smtp::Error) -> PostError {
    const ABOUT_US: [u16; 3] = [530, 534, 535];
    let about_us = error.status().is_some_and(|code| ABOUT_US.contains(&u16::from(code)));
    if (error.is_permanent() && !about_us) || error.is_client() {
        PostError::Refused(error.to_string())
    } else {
        PostError::Later(error)
    }
}

fn remove(folder: &Path, notice: &str) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_str().is_some_and(|name| name.trim_start_matches('.').starts_with(notice)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// The file is named after the notice and whom it is for: written twice, it is one.
fn write(folder: &Path, letter: &Letter, recipient: &str, mail: &[u8]) -> io::Result<()> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
    let name: String = format!("{}-{recipient}", letter.notice).chars().map(safe).collect();
    let unfinished = folder.join(format!(".{name}.part"));
    fs::write(&unfinished, mail)?;
    fs::rename(unfinished, folder.join(format!("{name}.eml")))
}
