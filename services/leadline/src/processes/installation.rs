//! Checks that a process has the master key of the installation. A process with another key does not start: it would
//! seal secrets that other processes cannot open, and could not open theirs.
//!
//! The first process that needs the master key records its fingerprint. If an older version has stored secrets by then,
//! the key of that process has to open at least half of them.

use anyhow::{Context as _, bail};
use crypto::MasterKey;
use domain::Registry;
use jiff::Timestamp;
use journal::{Journal, JournalError, RecordedKey};

/// Used in place of a fingerprint if none is recorded, also in `--replace-master-key`.
const NONE_RECORDED: &str = "none";
/// How many times this process tries to record its key while other processes record theirs.
const MAX_RACES: usize = 5;

/// Checks that this is the master key of the installation, and records it if none is recorded. `replaces` is the
/// fingerprint of the lost key that it replaces.
pub(crate) async fn confirm(journal: &Journal, key: &MasterKey, replaces: Option<&str>) -> anyhow::Result<()> {
    let own = key.fingerprint();
    for _ in 0..MAX_RACES {
        let recorded = journal.positions().installation_key().await?;
        if recorded.fingerprint.as_ref() == Some(&own) {
            return Ok(());
        }
        let replaced = recorded.fingerprint.as_deref().unwrap_or(NONE_RECORDED);
        if replaces == Some(replaced) {
            tracing::warn!(
                replaced,
                fingerprint = own,
                "replacing the master key; secrets that it does not open are lost"
            );
        } else if recorded.fingerprint.is_some() {
            bail!(another_key(&own, replaced));
        } else {
            opens_most_secrets(&journal.registry().read_all().await?, key)?;
        }
        if record(journal, &own, &recorded).await? {
            return Ok(());
        }
    }
    bail!("several processes record the master key of the installation at once; start this one again")
}

/// Records the key; `false` if another process recorded one first.
async fn record(journal: &Journal, fingerprint: &str, before: &RecordedKey) -> anyhow::Result<bool> {
    match journal.positions().record_installation_key(fingerprint.to_owned(), before).await {
        Ok(()) => {
            tracing::info!(fingerprint, "recorded the master key of the installation");
            Ok(true)
        }
        Err(JournalError::LostRace) => Ok(false),
        Err(error) => Err(error).context("cannot store the fingerprint of the master key"),
    }
}

/// Checks that the key opens at least half of the secrets. Older versions may have sealed some with a wrong key.
fn opens_most_secrets(registry: &Registry, key: &MasterKey) -> anyhow::Result<()> {
    let sealed = registry.sealed_secrets(Timestamp::now());
    let (total, mut closed) = (sealed.len(), vec![]);
    for secret in sealed {
        if key.open_bytes(&secret.secret.0, &secret.belongs_to).is_err() {
            closed.push(secret.of);
        }
    }
    if closed.len() * 2 > total {
        bail!(opens_too_little(&key.fingerprint(), closed.len(), total));
    }
    for of in closed {
        tracing::error!(of, "the master key does not open this secret; rotate the token or give the credentials again");
    }
    Ok(())
}

fn another_key(own: &str, recorded: &str) -> String {
    format!(
        "the master key of this process is not that of this installation: its fingerprint is {own}, and {recorded} is recorded; \
         {}",
        what_to_do(recorded)
    )
}

fn opens_too_little(own: &str, closed: usize, total: usize) -> String {
    format!(
        "the master key of this process (fingerprint {own}) does not open {closed} of the {total} secrets of this installation; {}",
        what_to_do(NONE_RECORDED)
    )
}

fn what_to_do(recorded: &str) -> String {
    format!(
        "pass the key of the other processes with --master-key (leadline up keeps it in the file master.key of its \
         data directory). If that key is lost, start every process with the new key, this one with \
         --replace-master-key {recorded}; then rotate all tokens (--overlap 0s) and give all credentials again"
    )
}

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, RegistryFact, TokenId,
        registry::{Account, Algorithm, Change, Routing, SealedSecret, Token, TokenSecret},
    };

    use super::*;

    fn account() -> AccountId {
        AccountId::parse("acme").unwrap()
    }

    /// A registry with a token for each of these keys, sealed with it.
    fn sealed_with(keys: &[&MasterKey]) -> Registry {
        let account = Account {
            id: account(),
            name: String::new(),
            brand: None,
            notification_emails: vec![],
            api_user_emails: vec![],
            routing: Routing::default(),
            keep_history: None,
            portal: domain::registry::Portal::default(),
            unconfirmed: vec![],
            deleted: false,
        };
        let mut registry = Registry::default();
        let mut apply = |change| {
            let fact = RegistryFact { at: Timestamp::UNIX_EPOCH, by: "test".into(), change };
            registry.apply(registry.sequence() + 1, &fact);
        };
        apply(Change::AccountCreated(account));
        for (number, key) in keys.iter().enumerate() {
            let id = TokenId::parse(&format!("tok_{number}")).unwrap();
            let belongs_to = Token::belongs_to(&self::account(), &id);
            let sealed = SealedSecret(key.seal(&crypto::Secret::generate().unwrap(), &belongs_to).unwrap());
            let secrets = vec![TokenSecret { sealed, created_at: Timestamp::UNIX_EPOCH, expires_at: None }];
            let (name, algorithm) = (String::new(), Algorithm::default());
            let token = Token { account: self::account(), id, name, algorithm, secrets, deleted: false };
            apply(Change::TokenCreated(token));
        }
        registry
    }

    #[test]
    fn the_first_key_must_open_most_stored_secrets() {
        let (a, b) = (&MasterKey::generate().unwrap(), &MasterKey::generate().unwrap());
        let table: [(&[&MasterKey], bool, bool); 4] =
            [(&[], true, true), (&[a, a], true, false), (&[a, a, b], true, false), (&[a, b], true, true)];
        for (keys, a_is_right, b_is_right) in table {
            let registry = sealed_with(keys);
            let right = |key| opens_most_secrets(&registry, key).is_ok();
            assert_eq!((right(a), right(b)), (a_is_right, b_is_right), "{} tokens", keys.len());
        }
        let refused = opens_most_secrets(&sealed_with(&[a]), b).unwrap_err().to_string();
        for part in ["1 of the 1 secrets", "--master-key", "--replace-master-key none", &b.fingerprint()] {
            assert!(refused.contains(part), "{part:?} is missing in {refused}");
        }
    }
}
