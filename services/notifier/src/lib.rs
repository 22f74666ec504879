//! The notifier: it mails people about failures, about deactivations and recoveries of destinations, and about new
//! leads.
//!
//! * [`deciding`] reads facts, and appends the notices that they call for
//! * [`writing`] finds the recipients and the content of a notice, and makes the mail
//! * [`sending`] sends each notice once, within the limits of the mail server and the operator
//! * [`links`] are the links in mails, with the pages behind them
//!
//! Guarantee: a recipient gets a notice at most once, however often the broker redelivers its fact. There is one
//! exception: if the process dies after the mail server took the mail and before the fact is stored, that mail is sent
//! again, with the same Message-ID. While the mail server does not answer, only mails wait.

mod deciding;
mod links;
mod measured;
mod sending;
mod writing;

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
    deciding::{lead_watcher::LeadWatcher, watcher::Watcher},
    links::{
        confirming::Asking,
        console::Console,
        details::Details,
        link_pages::{LinkPages, PublicUrl},
        unsubscribe::Unsubscribing,
    },
    sending::{
        dedup::Dedup,
        history::History,
        mailer::Mailer,
        mails::Mails,
        quota::{Limits, Quota},
        transport::Transport,
    },
    writing::{builder::NoticeBuilder, email::Sender},
};

#[derive(Debug, Clone, clap::Args)]
#[group(id = "notifier")]
pub struct Options {
    /// Mail server: smtp://HOST:PORT, smtps://USER:PASSWORD@HOST or smtp://…?tls=required; without it mails become
    /// files
    #[arg(long, env = "LEADLINE_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Folder for mails as .eml files while there is no mail server [default: outbox; up: outbox in the data directory]
    #[arg(long, env = "LEADLINE_OUTBOX", value_name = "FOLDER")]
    pub outbox: Option<PathBuf>,
    /// Sender of mails
    #[arg(long, env = "LEADLINE_MAIL_FROM", default_value = "leadline@localhost", value_name = "ADDRESS")]
    pub mail_from: String,
    /// Brand that mails show, unless the account has its own
    #[arg(long, env = "LEADLINE_BRAND", default_value = "Leadline", value_name = "NAME")]
    pub brand: String,
    /// Time after a notice in which further failures of the destination are collected into one mail; 0s: a mail for
    /// each
    #[arg(long, env = "LEADLINE_NOTICE_WINDOW", default_value = "15m", value_parser = runtime::duration::parse, value_name = "DURATION")]
    pub notice_window: Duration,
    /// Failed deliveries in a row after which a mail reports that the destination keeps failing; 0: never
    #[arg(long, env = "LEADLINE_ALERT_AFTER", default_value_t = 10, value_name = "COUNT")]
    pub alert_after: u32,
    /// Time for which a mail is retried if the mail server does not accept it; after that it is given up, and the
    /// lead's log shows that
    #[arg(long, env = "LEADLINE_MAIL_RETRY_FOR", default_value = "48h", value_parser = runtime::duration::parse, value_name = "DURATION")]
    pub mail_retry_for: Duration,
    /// Maximum mails per hour for one account; 0: no limit. The last quarter is for mails about failures. Each notifier
    /// process counts for itself
    #[arg(long, env = "LEADLINE_MAILS_PER_ACCOUNT", default_value_t = 1_200, value_name = "COUNT")]
    pub mails_per_account: u64,
    /// Maximum mails per hour to one recipient; 0: no limit. Each notifier process counts for itself
    #[arg(long, env = "LEADLINE_MAILS_PER_RECIPIENT", default_value_t = 120, value_name = "COUNT")]
    pub mails_per_recipient: u64,
    /// Public https URL of the notifier's HTTP port, for the links in mails: to their destination or lead, to
    /// unsubscribe, and to confirm an address
    #[arg(long, env = "LEADLINE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Public https URL of the console, whose path ends with /console; mails and the pages behind their links
    /// then lead to it [default: none; up: /console of the public URL]
    #[arg(long, env = "LEADLINE_CONSOLE_URL", value_name = "URL")]
    pub console_url: Option<String>,
}

/// # Errors
/// If the registry cannot be read from the broker, if a setting is invalid, or if the outbox cannot be created.
pub async fn start(
    options: &Options,
    key: Option<MasterKey>,
    platform: &Platform,
    journal: &Journal,
) -> anyhow::Result<Service> {
    let one_line = !options.brand.is_empty() && !options.brand.chars().any(char::is_control);
    anyhow::ensure!(one_line, "--brand: {:?} is not one line of text", options.brand);
    let public_url = options.public_url.as_deref().map(PublicUrl::parse).transpose()?;
    let console = options.console_url.as_deref().map(Console::parse).transpose()?;
    let links = match (&public_url, &key) {
        (Some(url), Some(key)) => Some((Unsubscribing::new(url.clone(), key), Details::new(url.clone(), key))),
        (Some(_), None) => anyhow::bail!("--public-url needs --master-key, which signs the links in mails; set both"),
        (None, _) => None,
    };
    let (unsubscribing, details) = links.unzip();
    let asking = key.map(|key| Asking { codes: ConfirmationCodes::new(&key), public_url });
    if asking.is_none() {
        tracing::warn!(
            "cannot ask owners of addresses for consent without --master-key; addresses that accounts set stay unconfirmed"
        );
    }
    measured::start();
    let latch = platform.readiness.latch_for("notifier", NeededBy::Only(&["notifier"]));
    let registry = RegistryView::follow(journal, platform).await?;
    let (journal, drain) = (journal.clone(), platform.drain.clone());
    let brand = options.brand.clone();
    let pages = LinkPages { journal: journal.clone(), registry: registry.clone(), brand: brand.clone() };
    let mut service = Service::new("notifier");
    if let (Some(unsubscribing), Some(details)) = (unsubscribing.clone(), details.clone()) {
        let routes = links::unsubscribe::routes(unsubscribing, pages.clone());
        let mut routes = routes.merge(links::details::routes(details, console.clone(), pages.clone()));
        if let Some(asking) = asking.clone() {
            routes = routes.merge(links::confirming::routes(asking, pages));
        }
        service = service.with_http(routes);
    }
    let sender = Sender::new(&options.mail_from, unsubscribing, details, console)?;
    let (outbox, latch_of_mail) = (
        options.outbox.as_deref().unwrap_or(Path::new("outbox")),
        platform.readiness.latch_for("mail", NeededBy::Only(&["notifier"])),
    );
    let transport = Transport::new(options.smtp_url.as_deref(), outbox, sender.domain(), latch_of_mail)?;
    let limit = |mails: u64| Some(mails).filter(|mails| *mails > 0);
    let limits = Limits { account: limit(options.mails_per_account), recipient: limit(options.mails_per_recipient) };
    let mailer = Mailer {
        builder: NoticeBuilder { journal: journal.clone(), registry: registry.clone(), brand },
        mails: Mails {
            journal: journal.clone(),
            transport,
            sender,
            dedup: Dedup::default(),
            history: History::new(journal.clone()),
            quota: Quota::new(limits),
        },
        patience: SignedDuration::try_from(options.mail_retry_for)?,
        asking,
        one_question: tokio::sync::Mutex::default(),
    };
    let rules = Rules { window: options.notice_window, repeated: options.alert_after };
    let watcher = Watcher { journal: journal.clone(), registry: registry.clone(), rules, drain: drain.clone() };
    platform.drain.spawn("mailer", mailer.run());
    platform.drain.spawn("watcher", watcher.run());
    let lead_watcher = LeadWatcher { journal, registry, window: rules.window, drain };
    platform.drain.spawn("lead watcher", lead_watcher.run());
    latch.ready();
    Ok(service)
}
