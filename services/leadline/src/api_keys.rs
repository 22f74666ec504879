//! `leadline keys`, and the first API key, with which the others are created over the API.
//!
//! The first key is written directly to the broker, because a process that may write there can change everything
//! anyway. `leadline up` creates it and keeps it in its data directory. If services run alone, `leadline keys
//! bootstrap` creates and prints it.

mod api;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use crypto::ApiKey;
use domain::{
    KeyId, Registry, RegistryFact,
    access::Scope,
    registry::{self, Command, KeyHash, UrlRules},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, NatsOptions};
use runtime::{Platform, telemetry};

use crate::{
    processes::data_dir::{ADMIN_KEY, DataDir},
    terminal::output::{note, print},
};

/// Create, list and revoke API keys.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List keys, the newest first
    #[command(after_help = "Example:\n  leadline keys list --account acme --ended")]
    List(api::List),
    /// Create a key and print it; it is shown only once
    #[command(after_help = "Example:\n  leadline keys create 'web forms' --scope publish --account acme --expires 90d")]
    Create(api::Create),
    /// Revoke a key for good; this cannot be undone
    #[command(after_help = "Example:\n  leadline keys revoke 3q5kzc1x")]
    Revoke(api::Revoke),
    /// Show the key of this call
    #[command(after_help = "Example:\n  LEADLINE_API_KEY=ll_… leadline keys whoami")]
    Whoami(api::Whoami),
    /// Create a platform-wide key with the scopes admin and payload, directly at the broker, and print it
    #[command(after_help = "Example:\n  leadline keys bootstrap --nats-url nats://broker:4222")]
    Bootstrap(Bootstrap),
}

#[derive(Debug, Args)]
struct Bootstrap {
    #[command(flatten)]
    telemetry: telemetry::Options,
    #[command(flatten)]
    nats: NatsOptions,
}

impl Keys {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            KeysCommand::List(list) => list.run().await,
            KeysCommand::Create(create) => create.run().await,
            KeysCommand::Revoke(revoke) => revoke.run().await,
            KeysCommand::Whoami(whoami) => whoami.run().await,
            KeysCommand::Bootstrap(bootstrap) => bootstrap.run().await,
        }
    }
}

impl Bootstrap {
    async fn run(self) -> anyhow::Result<()> {
        let _telemetry = telemetry::init("leadline-keys", &self.telemetry)?;
        let platform = Platform::default();
        let journal = Journal::connect(&self.nats, &platform).await?;
        let key = generate()?;
        let is_new = record(&journal, &key, "bootstrap", "leadline keys bootstrap").await?;
        anyhow::ensure!(is_new, "a key {} exists already; run the command again", key.id());
        note("A platform-wide key with the scopes admin and payload. It is shown only here; keep it like a password.");
        print(key.reveal().as_str())
    }
}

/// Makes sure that the data directory has the administrator's key and that the broker knows it, and returns its file
/// and its id. A revoked key stays revoked; if the file is missing, another key is created.
pub(crate) async fn admin_key_in(data_dir: &DataDir, journal: &Journal) -> anyhow::Result<(PathBuf, KeyId)> {
    let file = data_dir.path().join(ADMIN_KEY);
    // The file is written first, because a key that is recorded without a file would be lost.
    let kept = data_dir.secret(ADMIN_KEY, || Ok(generate()?.reveal()))?;
    let key: Result<ApiKey, _> = kept.parse();
    let key = key.with_context(|| format!("{}; remove the file to create another key", file.display()))?;
    record(journal, &key, "admin.key", "leadline up").await?;
    Ok((file, KeyId::parse(key.id())?))
}

fn generate() -> anyhow::Result<ApiKey> {
    ApiKey::generate().context("the operating system returns no random numbers")
}

/// Records the key; `false` if it is recorded already, which the broker checks when it stores the fact.
async fn record(journal: &Journal, key: &ApiKey, name: &str, by: &str) -> anyhow::Result<bool> {
    let now = Timestamp::now();
    let key = registry::ApiKey {
        id: KeyId::parse(key.id())?,
        account: None,
        name: name.to_owned(),
        // A process that may write to the broker can read every payload there.
        scopes: [Scope::Admin, Scope::Payload].into_iter().collect(),
        hash: KeyHash(key.hash()),
        created_at: now,
        created_by: by.to_owned(),
        expires_at: None,
        revoked_at: None,
        client: None,
    };
    let decision = Registry::default().decide(Command::CreateKey(key), UrlRules::default())?;
    let fact = RegistryFact { at: now, by: by.to_owned(), change: decision.change };
    match journal.registry().append(&fact, decision.expected_version).await {
        Ok(_) => Ok(true),
        Err(JournalError::LostRace) => Ok(false),
        Err(error) => Err(error).context("cannot store the administrator's key"),
    }
}
