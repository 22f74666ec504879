//! Looks up the addresses of receivers, asynchronously, with a deadline, a cache, and a fair share for each account.
//!
//! `/etc/hosts` is read first; then the name servers of `/etc/resolv.conf` (with its search domains and `ndots`) or of
//! `--dns-server` are asked. Both files are read again when they change. Only addresses that the [`Guard`] allows are
//! returned, and the connection uses these addresses, so a name cannot change after the check.
//!
//! Guarantee: unanswered look-ups hold no thread. Those of up to seven accounts delay no look-up of another account.

use std::{
    fmt::Debug,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use domain::{AccountId, ErrorKind, Guard};
use futures::{FutureExt as _, future::BoxFuture};
use hickory_resolver::{
    net::{DnsError, NetError, NoRecords},
    proto::op::ResponseCode,
};
use moka::sync::Cache;
use nix::errno::Errno;
use tokio::{sync::Semaphore, time::timeout};

use self::servers::Servers;

mod servers;

/// The maximum time of a look-up, for all name servers and search domains together. Answers usually take milliseconds.
/// This time is part of the receiver's timeout (15 s by default).
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// The maximum time that a look-up waits for its turn. It waits only while many others are unanswered.
const TURN_TIMEOUT: Duration = Duration::from_secs(4);
/// The maximum number of look-ups of one account in flight. Each opens up to eight sockets while no name server
/// answers.
const MAX_LOOKUPS_PER_ACCOUNT: usize = 32;
/// The maximum number of look-ups of all accounts in flight. A look-up of another account waits only if those of at
/// least eight accounts are unanswered. All look-ups together open at most 2,048 sockets.
const MAX_LOOKUPS: usize = 256;
/// The maximum number of accounts whose look-ups are counted.
const MAX_ACCOUNTS: u64 = 10_000;

/// Looks up the addresses of a host for an account; the preferred ones come first.
pub(crate) trait Resolve: Debug + Send + Sync {
    fn resolve<'a>(&'a self, account: &'a AccountId, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>>;
}

#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    guard: Guard,
    servers: Servers,
    accounts: Cache<Option<AccountId>, Arc<Semaphore>>,
    lookups: Semaphore,
}

/// Why there is no address to call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error(
        "there is no host with the name {0}; correct the URL of the destination, or the records of its name servers"
    )]
    NoSuchName(String),
    #[error("the host {0} has no address: its name servers have neither an A nor an AAAA record")]
    NoAddress(String),
    #[error("no name server answered within {LOOKUP_TIMEOUT:?} for the host {0}")]
    NoAnswer(String),
    #[error("the host {0} was not looked up: too many other look-ups wait for name servers that do not answer")]
    NoTurn(String),
    #[error("cannot look up the host {host}: the name server answered {code}")]
    Refused { host: String, code: String },
    #[error("cannot ask the name servers for the host {host}")]
    Failed { host: String, source: NetError },
    #[error("cannot look up the host {host}")]
    OutOfFiles { host: String, source: std::io::Error },
    /// The address is only logged, because an account must not learn the addresses of internal names.
    #[error("{0} is not a public address, and the operator has not allowed its network (--allow-network)")]
    NotPublic(String),
}

impl LookupError {
    pub(crate) const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotPublic(_) => ErrorKind::Blocked,
            _ => ErrorKind::Dns,
        }
    }
}

impl Resolver {
    /// A resolver that asks these name servers, or those of the system if there are none.
    pub(crate) fn new(guard: Guard, name_servers: &[SocketAddr]) -> anyhow::Result<Self> {
        let accounts = Cache::builder().max_capacity(MAX_ACCOUNTS).build();
        let (servers, lookups) = (Servers::new(name_servers)?, Semaphore::new(MAX_LOOKUPS));
        Ok(Self { inner: Arc::new(Inner { guard, servers, accounts, lookups }) })
    }

    /// The allowed addresses of a host, IPv4 first. The look-up counts for the account.
    pub(crate) async fn addresses(&self, account: Option<&AccountId>, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let found = self.inner.look_up(account, host).await?;
        self.inner.allowed(account, host, found)
    }
}

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, account: &'a AccountId, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>> {
        self.addresses(Some(account), host).boxed()
    }
}

impl Inner {
    async fn look_up(&self, account: Option<&AccountId>, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let servers = self.servers.current();
        if let Some(found) = servers.in_hosts_file(host) {
            return Ok(found);
        }
        let share = || Arc::new(Semaphore::new(MAX_LOOKUPS_PER_ACCOUNT));
        let share = self.accounts.get_with(account.cloned(), share);
        // Neither semaphore is ever closed.
        let permits = async { (share.acquire().await, self.lookups.acquire().await) };
        let _permits = timeout(TURN_TIMEOUT, permits).await.map_err(|_| LookupError::NoTurn(host.to_owned()))?;
        match timeout(LOOKUP_TIMEOUT, servers.ask(host)).await {
            Ok(answer) => answer.map_err(|error| unresolvable(host.to_owned(), error)),
            Err(_) => Err(LookupError::NoAnswer(host.to_owned())),
        }
    }

    fn allowed(&self, account: Option<&AccountId>, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, LookupError> {
        if found.is_empty() {
            return Err(LookupError::NoAddress(host.to_owned()));
        }
        let (allowed, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|ip| self.guard.check(*ip).is_ok());
        if !refused.is_empty() {
            let account = account.map(AccountId::as_str);
            tracing::info!(account, host, addresses = ?refused, "refused addresses that are not public");
        }
        if allowed.is_empty() { Err(LookupError::NotPublic(host.to_owned())) } else { Ok(allowed) }
    }
}

fn unresolvable(host: String, error: NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
            if response_code == ResponseCode::NXDomain {
                LookupError::NoSuchName(host)
            } else {
                LookupError::NoAddress(host)
            }
        }
        NetError::Dns(DnsError::ResponseCode(code)) => LookupError::Refused { host, code: code.to_string() },
        NetError::Timeout => LookupError::NoAnswer(host),
        NetError::Io(ref io) => match io.raw_os_error().map(Errno::from_raw) {
            Some(code @ (Errno::EMFILE | Errno::ENFILE)) => LookupError::OutOfFiles { host, source: code.into() },
            _ => LookupError::Failed { host, source: error },
        },
        source => LookupError::Failed { host, source },
    }
}

#[cfg(test)]
mod tests {
    use testkit::NameServer;

    use super::*;

    fn resolver(name_server: &NameServer, allowed: &[&str]) -> Resolver {
        let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Resolver::new(Guard::new(allowed), &[name_server.address()]).unwrap()
    }

    async fn resolve(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        resolver.addresses(Some(&"acme".parse().unwrap()), host).await
    }

    #[tokio::test]
    async fn only_allowed_addresses_of_a_name_are_called() {
        let names =
            NameServer::start(&[("mixed.test", &["10.0.0.5", "192.0.2.1", "2606:4700::1111", "1.1.1.1"])]).await;
        let found = resolve(&resolver(&names, &[]), "mixed.test").await.unwrap();
        assert_eq!(found, ["1.1.1.1", "2606:4700::1111"].map(|text| text.parse::<IpAddr>().unwrap()));

        let local = resolve(&resolver(&names, &[]), "localhost").await.unwrap_err();
        assert_eq!(local.kind(), ErrorKind::Blocked, "{local}");
        let local = resolve(&resolver(&names, &["127.0.0.0/8"]), "localhost").await.unwrap();
        assert!(
            !local.is_empty() && local.iter().all(|address| address.is_ipv4() && address.is_loopback()),
            "{local:?}"
        );
    }

    #[tokio::test]
    async fn a_name_may_have_an_underscore() {
        let names = NameServer::start(&[("lead_sink.test", &["1.1.1.1"])]).await;
        let found = resolve(&resolver(&names, &[]), "lead_sink.test").await.unwrap();
        assert_eq!(found, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn a_refusal_does_not_show_the_address_of_a_name() {
        let names = NameServer::start(&[("internal.test", &["10.0.0.5"])]).await;
        let refused = resolve(&resolver(&names, &[]), "internal.test").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Blocked);
        let text = refused.to_string();
        assert!(text.starts_with("internal.test is not a public address") && !text.contains("10.0.0.5"), "{text}");
    }

    #[tokio::test]
    async fn a_failure_names_its_cause() {
        let names = NameServer::start(&[("empty.test", &[])]).await;
        let resolver = resolver(&names, &[]);
        for (host, said) in [
            ("nowhere.test", "there is no host with the name nowhere.test"),
            ("empty.test", "the host empty.test has no address"),
            ("refused.test", "the name server answered"),
            ("x.silent.test", "no name server answered within 3s for the host x.silent.test"),
        ] {
            let error = resolve(&resolver, host).await.unwrap_err();
            assert!(error.kind() == ErrorKind::Dns && error.to_string().contains(said), "{error}");
        }
    }

    #[tokio::test]
    async fn answers_and_missing_names_are_cached() {
        let names = NameServer::start(&[("kept.test", &["1.1.1.1"])]).await;
        let resolver = resolver(&names, &[]);
        for _ in 0..3 {
            resolve(&resolver, "kept.test").await.unwrap();
            resolve(&resolver, "nowhere.test").await.unwrap_err();
        }
        assert_eq!(names.questions("kept.test"), 2, "one for each version of IP");
        assert_eq!(names.questions("nowhere.test"), 2);
    }
}
