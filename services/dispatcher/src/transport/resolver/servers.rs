//! The name servers in use, and the content of `/etc/hosts`.

use std::{
    collections::HashMap,
    fmt, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::Name,
    system_conf::parse_resolv_conf,
};
use runtime::ErrorChain as _;

/// The maximum time of one round of queries to the name servers. Lost packets are sent again within it.
const ROUND_TIMEOUT: Duration = Duration::from_millis(1_400);
/// The maximum number of further rounds. Two rounds fit into the deadline of a look-up.
const MAX_REPEATS: usize = 1;
/// The maximum number of cached answers for all accounts; each takes a few hundred bytes.
const MAX_CACHED: u64 = 10_000;
/// An address is looked up again after five minutes, even if its TTL is longer, because receivers move.
const MAX_POSITIVE_TTL: Duration = Duration::from_secs(300);
/// A missing name is looked up again after a minute, because people correct such a mistake and retry.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// The interval of checks of the system's files.
const FILES_INTERVAL: Duration = Duration::from_secs(5);

/// The name servers, as they are configured now.
#[derive(Debug)]
pub(super) struct Servers {
    given: Vec<SocketAddr>,
    files: Files,
    state: Mutex<State>,
}

/// The files that configure name resolution.
#[derive(Debug)]
struct Files {
    resolv_conf: PathBuf,
    hosts: PathBuf,
}

#[derive(Debug)]
struct State {
    current: NameServers,
    versions: Versions,
    checked_at: Instant,
}

/// When the files were changed; `None` if a file does not exist.
type Versions = [Option<SystemTime>; 2];

/// Name servers with their cached answers, and the names of the hosts file. Clones share them.
#[derive(Clone)]
pub(super) struct NameServers {
    resolver: TokioResolver,
    hosts: Arc<Hosts>,
}

/// The addresses of each name. Names are in lower case, without a final dot.
type Hosts = HashMap<String, Vec<IpAddr>>;

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServers").finish_non_exhaustive()
    }
}

impl Servers {
    /// The given name servers, or those of the system if none are given.
    pub(super) fn new(given: &[SocketAddr]) -> Result<Self, NetError> {
        Self::with_files(given, Files { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() })
    }

    fn with_files(given: &[SocketAddr], files: Files) -> Result<Self, NetError> {
        let versions = files.versions();
        let current = NameServers::configured(given, &files)?;
        let state = Mutex::new(State { current, versions, checked_at: Instant::now() });
        Ok(Self { given: given.to_vec(), files, state })
    }

    /// The current name servers. Checks the files again if the last check is older than [`FILES_INTERVAL`].
    pub(super) fn current(&self) -> NameServers {
        self.current_at(Instant::now())
    }

    fn current_at(&self, now: Instant) -> NameServers {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.checked_at) < FILES_INTERVAL {
            return state.current.clone();
        }
        state.checked_at = now;
        let versions = self.files.versions();
        if versions != state.versions {
            state.versions = versions;
            match NameServers::configured(&self.given, &self.files) {
                Ok(changed) => {
                    tracing::info!("reloaded name servers and hosts after a change of their files");
                    state.current = changed;
                }
                Err(error) => tracing::warn!(
                    error = error.chain(),
                    "cannot use the changed name servers; keeping the previous ones"
                ),
            }
        }
        state.current.clone()
    }
}

impl Files {
    fn versions(&self) -> Versions {
        [&self.resolv_conf, &self.hosts].map(|file| fs::metadata(file).and_then(|found| found.modified()).ok())
    }
}

impl NameServers {
    fn configured(given: &[SocketAddr], files: &Files) -> Result<Self, NetError> {
        let (config, mut options) = if given.is_empty() {
            of_system(&files.resolv_conf)
        } else {
            (
                ResolverConfig::from_name_servers(given.iter().copied().map(name_server).collect()),
                ResolverOpts::default(),
            )
        };
        options.timeout = ROUND_TIMEOUT;
        options.attempts = MAX_REPEATS;
        // A host without IPv6 is more common than a receiver without IPv4. The client soon tries the other family.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = MAX_CACHED;
        options.positive_max_ttl = Some(MAX_POSITIVE_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        // This module reads the hosts file: hickory would ask the name servers first for a name without dots, and skips
        // names with `_`.
        options.use_hosts_file = ResolveHosts::Never;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build()?;
        Ok(Self { resolver, hosts: Arc::new(hosts(&files.hosts)) })
    }

    /// The addresses that the hosts file has for a name; `None` if it does not know the name.
    pub(super) fn in_hosts_file(&self, host: &str) -> Option<Vec<IpAddr>> {
        self.hosts.get(&canonical(host)).cloned()
    }

    /// The addresses that the name servers have for a name, those of IPv4 first.
    pub(super) async fn ask(&self, host: &str) -> Result<Vec<IpAddr>, NetError> {
        // Without the rules of IDNA, which forbid `_`: the host of a URL is encoded already.
        let name = Name::from_ascii(host).map_err(NetError::from)?;
        Ok(self.resolver.lookup_ip(name).await?.iter().collect())
    }
}

fn canonical(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The settings of the system. If there are none, a name server on this machine is asked, as in the C library.
fn of_system(resolv_conf: &Path) -> (ResolverConfig, ResolverOpts) {
    let read = fs::read(resolv_conf).map_err(NetError::from).and_then(parse_resolv_conf);
    match read {
        Ok((config, options)) => {
            let (domain, search, servers) = config.into_parts();
            // `domain` is the older form of `search`. If a file has both, the last one counts (resolv.conf(5)).
            let search = if search.is_empty() { domain.into_iter().collect() } else { search };
            (ResolverConfig::from_parts(None, search, servers), options)
        }
        Err(error) => {
            tracing::warn!(error = error.chain(), file = %resolv_conf.display(), "cannot read name servers; asking 127.0.0.1");
            let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
        }
    }
}

/// The names of a hosts file (hosts(5)). Invalid lines are skipped.
fn hosts(file: &Path) -> Hosts {
    let text = fs::read(file).unwrap_or_else(|error| {
        tracing::debug!(error = error.chain(), file = %file.display(), "cannot read the hosts file");
        vec![]
    });
    let mut hosts = Hosts::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        for name in words {
            hosts.entry(canonical(name)).or_default().push(address);
        }
    }
    hosts
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path, resolv_conf: &str, hosts: &str) -> Files {
        let files = Files { resolv_conf: folder.join("resolv.conf"), hosts: folder.join("hosts") };
        fs::write(&files.resolv_conf, resolv_conf).unwrap();
        fs::write(&files.hosts, hosts).unwrap();
        files
    }

    #[test]
    fn search_domains_and_ndots_of_resolv_conf_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# made by a person\nnameserver 10.0.0.53\nnameserver fd00::53\n\
                    search a.example b.example\noptions ndots:5 timeout:9 trust-ad unheard-of\n";
        let files = files(folder.path(), text, "");
        let (config, options) = of_system(&files.resolv_conf);
        let servers: Vec<_> = config.name_servers().iter().map(|server| server.ip.to_string()).collect();
        assert_eq!(servers, ["10.0.0.53", "fd00::53"]);
        let search: Vec<_> = config.search().iter().map(ToString::to_string).collect();
        assert_eq!(search, ["a.example", "b.example"]);
        assert_eq!((options.ndots, config.domain()), (5, None));
        let configured = NameServers::configured(&[], &files).unwrap();
        assert_eq!((configured.resolver.options().ndots, configured.resolver.options().timeout), (5, ROUND_TIMEOUT));
    }

    #[test]
    fn without_resolv_conf_a_name_server_of_this_machine_is_asked() {
        let (config, _) = of_system(Path::new("/nowhere/resolv.conf"));
        assert_eq!(config.name_servers().iter().map(|server| server.ip).collect::<Vec<_>>(), [Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn a_changed_hosts_file_is_noticed_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), "nameserver 127.0.0.1\n", "192.0.2.1 crm\n");
        let hosts = files.hosts.clone();
        let servers = Servers::with_files(&[], files).unwrap();
        let start = Instant::now();
        let found = |at: Duration| servers.current_at(start + at).in_hosts_file("crm").unwrap();
        assert_eq!(found(Duration::ZERO), ["192.0.2.1".parse::<IpAddr>().unwrap()]);

        fs::write(&hosts, "# by hand\n192.0.2.2\tother CRM # here\nnonsense\n2001:db8::2 crm. a_b\n").unwrap();
        let later = fs::File::options().write(true).open(&hosts).unwrap();
        later.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        assert_eq!(found(FILES_INTERVAL / 2), ["192.0.2.1".parse::<IpAddr>().unwrap()], "checked every few seconds");
        let changed = ["192.0.2.2", "2001:db8::2"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(found(FILES_INTERVAL * 2), changed);
        let latest = servers.current_at(start);
        assert_eq!(latest.in_hosts_file("a_b"), Some(vec![changed[1]]));
        assert_eq!(["here", "nonsense", "example.com"].map(|name| latest.in_hosts_file(name)), [None, None, None]);
    }
}
