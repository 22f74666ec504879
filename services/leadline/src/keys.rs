//! The first key of an installation, from which all others are made.
//!
//! Whoever may write to the broker may write down a key: he could change everything else there, too. So the first key
//! needs no other one. `leadline up` makes it in its data directory, `leadline keys bootstrap` for an installation of
//! services that run alone.

use std::{path::PathBuf, process::ExitCode};

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

use crate::data_dir::DataDir;

/// Name of the file with the key of the administrator.
pub(crate) const ADMIN_KEY: &str = "admin.key";

/// Keys of the API.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a platform-wide key with the scope admin, directly at the broker, and print it
    Bootstrap(Bootstrap),
}

#[derive(Debug, Args)]
struct Bootstrap {
    #[command(flatten)]
    nats: NatsOptions,
}

impl Keys {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let KeysCommand::Bootstrap(bootstrap) = self.command;
        let _telemetry = telemetry::init("leadline-keys")?;
        let platform = Platform::default();
        let journal = Journal::connect(&bootstrap.nats, &platform).await?;
        let key = generate()?;
        let fresh = record(&journal, &key, "bootstrap", "leadline keys bootstrap").await?;
        anyhow::ensure!(fresh, "there is a key {} already; run it again", key.id());
        eprintln!("A platform-wide key with the scope admin. It is shown only here; keep it like a password.");
        println!("{}", key.reveal());
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes sure that the data directory holds a key of the administrator, and that the broker knows it; where it is. One
/// that was revoked stays revoked; without the file another one is made.
pub(crate) async fn admin_key_in(data_dir: &DataDir, journal: &Journal) -> anyhow::Result<PathBuf> {
    let file = data_dir.path().join(ADMIN_KEY);
    // The file comes first: a key that is known and not written down would be lost.
    let kept = data_dir.secret(ADMIN_KEY, || Ok(generate()?.reveal()))?;
    let key = kept.parse();
    let key = key.with_context(|| format!("{}; remove the file to have another one made", file.display()))?;
    record(journal, &key, "admin.key", "leadline up").await?;
    Ok(file)
}

fn generate() -> anyhow::Result<ApiKey> {
    ApiKey::generate().context("the system gives no random numbers")
}

/// Records the key as new; whether it is. That nothing is known about it, the broker checks when it takes the fact.
async fn record(journal: &Journal, key: &ApiKey, name: &str, by: &str) -> anyhow::Result<bool> {
    let now = Timestamp::now();
    let key = registry::ApiKey {
        id: KeyId::parse(key.id())?,
        account: None,
        name: name.to_owned(),
        scopes: [Scope::Admin].into_iter().collect(),
        hash: KeyHash(key.hash()),
        created_at: now,
        created_by: by.to_owned(),
        expires_at: None,
        revoked_at: None,
    };
    let decision = Registry::default().decide(Command::CreateKey(key), UrlRules::default())?;
    let fact = RegistryFact { at: now, by: by.to_owned(), change: decision.change };
    match journal.append_registry(&fact, decision.expected_version).await {
        Ok(_) => Ok(true),
        Err(JournalError::LostRace) => Ok(false),
        Err(error) => Err(error).context("the key of the administrator was not stored"),
    }
}
