//! Telling people about failures.
//!
//! [`notifier`] finds the facts that call for a notice and sees to it that each is sent once, [`letter`] says what it
//! says, [`post`] gets it there: by SMTP, or as a file in the outbox.
//!
//! Guarantee: a failure is reported once, however often its fact is handed out. Only if the process dies between the
//! mail server's yes and the fact that records it, the mail goes out again, with the same Message-ID.

mod letter;
mod notifier;
mod post;
mod telling;

use std::path::{Path, PathBuf};

use journal::{Journal, RegistryView};
use runtime::{Platform, Service};

/// What the notifier can be told.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "notifier")]
pub struct Options {
    /// Mail server: smtp://HOST:PORT, smtps://USER:PASSWORD@HOST or smtp://…?tls=required; none: mails become files
    #[arg(long, env = "LEADLINE_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Folder for mails as .eml files while there is no mail server [default: outbox; up: outbox in the data directory]
    #[arg(long, env = "LEADLINE_OUTBOX", value_name = "FOLDER")]
    pub outbox: Option<PathBuf>,
    /// Sender of mails
    #[arg(long, env = "LEADLINE_MAIL_FROM", default_value = "leadline@localhost", value_name = "ADDRESS")]
    pub mail_from: String,
    /// The brand that mails speak for, unless an account has its own
    #[arg(long, env = "LEADLINE_BRAND", default_value = "Leadline", value_name = "NAME")]
    pub brand: String,
}

/// Starts the notifier.
///
/// # Errors
/// When the configuration cannot be read from the broker, the mail server's URL or the sender is none, or the outbox
/// cannot be made.
pub async fn start(options: &Options, platform: &Platform, journal: &Journal) -> anyhow::Result<Service> {
    let latch = platform.readiness.latch("notifier");
    let notifier = notifier::Notifier {
        journal: journal.clone(),
        registry: RegistryView::follow(journal, platform).await?,
        post: post::Post::new(options.smtp_url.as_deref(), options.outbox.as_deref().unwrap_or(Path::new("outbox")))?,
        sender: letter::Sender::new(&options.mail_from, &options.brand)?,
        mail_latch: platform.readiness.latch("mail"),
        telling: telling::Telling::default(),
    };
    notifier.mail_latch.ready();
    platform.drain.spawn("notifier", notifier.run());
    latch.ready();
    Ok(Service::new("notifier"))
}
