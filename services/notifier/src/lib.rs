//! Telling people what they have to know: failures, what became of a destination, new leads.
//!
//! [`watcher`] and [`lead_watcher`] read what happened and record what it calls for; [`operations`] tells destinations
//! that subscribe to it. [`mailer`] sees to it that each notice is sent once: [`orders`] finds out what is to be told to
//! whom, [`texts`] is what that says, [`subjects`] what its subject line does, [`page`] how it looks, [`letter`] the
//! mail, and [`post`] gets it there: by [`smtp`], when [`pauses`] let it and as [`refusal`] judges the answers, or into
//! the [`outbox`]. [`quota`] bounds how much that is. People who do not want it any more say so to [`unsubscribe`], those
//! who were never asked are asked by [`confirming`], and [`details`] shows how what a mail is about is now.
//!
//! Guarantee: nothing is told twice, however often its fact is handed out. Only if the process dies between the mail
//! server's yes and the fact that records it, that one mail goes out again, with the same Message-ID. While the mail server
//! is away mails wait, and nothing else does.

mod confirming;
mod desk;
mod details;
mod history;
mod lead_watcher;
mod letter;
mod mailer;
mod operations;
mod orders;
mod outbox;
mod page;
mod pauses;
mod post;
mod quota;
mod refusal;
mod smtp;
mod subjects;
mod telling;
mod texts;
mod unsubscribe;
mod watcher;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crypto::{ConfirmationCodes, MasterKey};
use domain::notice::Rules;
use jiff::SignedDuration;
use journal::{Journal, RegistryView};
use runtime::{NeededBy, Platform, Service};

use crate::{
    confirming::Asking,
    desk::{Desk, PublicUrl},
    details::Details,
    quota::Limits,
    unsubscribe::Unsubscribing,
};

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
    /// How long after a notice the failures of the same destination are collected into one mail; 0s: a mail for each
    #[arg(long, env = "LEADLINE_NOTICE_WINDOW", default_value = "15m", value_parser = runtime::duration::parse, value_name = "DURATION")]
    pub notice_window: Duration,
    /// How many deliveries in a row have to fail at a destination until people are told that it goes on; 0: never
    #[arg(long, env = "LEADLINE_ALERT_AFTER", default_value_t = 10, value_name = "COUNT")]
    pub alert_after: u32,
    /// For how long a mail is tried while the mail server does not take it; then it is given up, which the lead's log says
    #[arg(long, env = "LEADLINE_MAIL_RETRY_FOR", default_value = "48h", value_parser = runtime::duration::parse, value_name = "DURATION")]
    pub mail_retry_for: Duration,
    /// How many mails an hour go out for one account; 0: no limit. The last quarter is for mails about failures. Each notifier
    /// process counts for itself
    #[arg(long, env = "LEADLINE_MAILS_PER_ACCOUNT", default_value_t = 1_200, value_name = "COUNT")]
    pub mails_per_account: u64,
    /// How many mails an hour go to one recipient; 0: no limit; counted as --mails-per-account
    #[arg(long, env = "LEADLINE_MAILS_PER_RECIPIENT", default_value_t = 120, value_name = "COUNT")]
    pub mails_per_recipient: u64,
    /// The https URL at which the notifier's HTTP port is reached from outside; mails then have a link to what they are
    /// about and one to unsubscribe, and those that ask the owner of an address one to agree
    #[arg(long, env = "LEADLINE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

/// Starts the notifier.
///
/// # Errors
/// When the configuration cannot be read from the broker, the mail server's URL, the sender or the public URL is none, or
/// the outbox cannot be made.
pub async fn start(
    options: &Options,
    key: Option<MasterKey>,
    platform: &Platform,
    journal: &Journal,
) -> anyhow::Result<Service> {
    let one_line = !options.brand.is_empty() && !options.brand.chars().any(char::is_control);
    anyhow::ensure!(one_line, "--brand: {:?} is not one line of text", options.brand);
    let public_url = options.public_url.as_deref().map(PublicUrl::parse).transpose()?;
    let links = match (&public_url, &key) {
        (Some(url), Some(key)) => Some((Unsubscribing::new(url.clone(), key), Details::new(url.clone(), key))),
        (Some(_), None) => anyhow::bail!("--public-url needs --master-key, which vouches for the links in mails"),
        (None, _) => None,
    };
    let (unsubscribing, details) = links.unzip();
    let asking = key.map(|key| Asking { codes: ConfirmationCodes::new(&key), public_url });
    if asking.is_none() {
        tracing::warn!(
            "without --master-key no owner of an address is asked; what accounts set themselves stays unconfirmed"
        );
    }
    let latch = platform.readiness.latch_for("notifier", NeededBy::Only(&["notifier"]));
    let registry = RegistryView::follow(journal, platform).await?;
    let (journal, drain) = (journal.clone(), platform.drain.clone());
    let brand = options.brand.clone();
    let desk = Desk { journal: journal.clone(), registry: registry.clone(), brand: brand.clone() };
    let mut service = Service::new("notifier");
    if let (Some(unsubscribing), Some(details)) = (unsubscribing.clone(), details.clone()) {
        let routes = unsubscribe::routes(unsubscribing, desk.clone());
        let mut routes = routes.merge(details::routes(details, desk.clone()));
        if let Some(asking) = asking.clone() {
            routes = routes.merge(confirming::routes(asking, desk));
        }
        service = service.with_http(routes);
    }
    let sender = letter::Sender::new(&options.mail_from, unsubscribing, details)?;
    let (outbox, latch_of_mail) = (
        options.outbox.as_deref().unwrap_or(Path::new("outbox")),
        platform.readiness.latch_for("mail", NeededBy::Only(&["notifier"])),
    );
    let post = post::Post::new(options.smtp_url.as_deref(), outbox, sender.domain(), latch_of_mail)?;
    let limit = |mails: u64| Some(mails).filter(|mails| *mails > 0);
    let limits = Limits { account: limit(options.mails_per_account), recipient: limit(options.mails_per_recipient) };
    let mailer = mailer::Mailer {
        orders: orders::Orders { journal: journal.clone(), registry: registry.clone(), brand },
        post,
        sender,
        telling: telling::Telling::default(),
        history: history::History::new(journal.clone()),
        quota: quota::Quota::new(limits),
        patience: SignedDuration::try_from(options.mail_retry_for)?,
        asking,
        one_question: tokio::sync::Mutex::default(),
    };
    let rules = Rules { window: options.notice_window, repeated: options.alert_after };
    let watcher =
        watcher::Watcher { journal: journal.clone(), registry: registry.clone(), rules, drain: drain.clone() };
    platform.drain.spawn("mailer", mailer.run());
    platform.drain.spawn("watcher", watcher.run());
    platform
        .drain
        .spawn("lead watcher", lead_watcher::LeadWatcher { journal, registry, window: rules.window, drain }.run());
    latch.ready();
    Ok(service)
}
