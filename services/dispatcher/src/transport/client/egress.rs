//! The proxy of the installation (`--egress-proxy`), which every connection uses.
//!
//! Guarantee: while the proxy fails, no attempt is made or recorded, and the work is parked. The dispatcher is not
//! ready, and the log has the reason. When the proxy works again, the work continues without help.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use anyhow::Context as _;
use domain::{AccountId, registry::ProxyAddress};
use percent_encoding::percent_decode_str;
use runtime::{ErrorChain as _, Latch};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use url::{Host, Url};

use super::{
    proxy::{Fault, Proxy, ProxyFailure, Target},
    stream::connect_any,
};
use crate::transport::{failure::is_out_of_files, resolver::Resolve};

/// How long a proxy may take to accept a connection. It is short, because the proxy is near, and because this time is
/// part of the receiver's timeout.
pub(super) const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the dispatcher is not ready after a failure if no work uses the proxy. Waiting work tries the proxy more
/// often.
const FAILURE_COUNTS_FOR: Duration = Duration::from_secs(30);
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct EgressSettings {
    proxy: Proxy,
    /// Whether the proxy looks up the names of receivers.
    resolves: bool,
}

#[derive(Debug)]
pub(crate) struct Egress {
    proxy: Proxy,
    /// Whether the proxy looks up the names of receivers.
    pub(super) resolves: bool,
    /// Allows every address, because the operator configures the proxy.
    resolver: Arc<dyn Resolve>,
    latch: Latch,
    failed_at: Mutex<Option<Instant>>,
}

impl EgressSettings {
    /// Parses the URL of a proxy, whose username and password are percent-encoded.
    ///
    /// # Errors
    /// When it is not the URL of a proxy. The message does not repeat the URL, because it may contain a password.
    pub(crate) fn new(url: &str, resolves: bool) -> anyhow::Result<Self> {
        let what = "--egress-proxy is not the URL of a proxy, such as http://user:password@proxy.example:3128 or \
                    socks5://proxy.example:1080 (user and password are percent-encoded: @ is %40)";
        let url = Url::parse(url).context(what)?;
        let address = ProxyAddress::of(&url).map_err(|problem| anyhow::anyhow!("it {problem}")).context(what)?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        let (username, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
        let (username, password) = (username.context(what)?, password.context(what)?);
        let login = (!username.is_empty()).then_some((username, password));
        Ok(Self { proxy: Proxy::of_installation(address, login), resolves })
    }
}

impl Egress {
    pub(crate) fn new(settings: EgressSettings, resolver: Arc<dyn Resolve>, latch: Latch) -> Self {
        latch.ready();
        let EgressSettings { proxy, resolves } = settings;
        Self { proxy, resolves, resolver, latch, failed_at: Mutex::default() }
    }

    /// A connection to a target through the proxy.
    pub(super) async fn open(
        &self,
        account: &AccountId,
        target: Target<'_>,
        deadline: Instant,
    ) -> Result<TcpStream, ProxyFailure> {
        let patience = deadline.min(Instant::now() + PROXY_TIMEOUT);
        let connected = timeout_at(patience, self.connect(account)).await;
        let opened = match connected.unwrap_or(Err(Fault::Timeout)) {
            Ok(stream) => self.proxy.open(stream, target).await,
            Err(fault) => Err(self.proxy.failure(fault)),
        };
        match &opened {
            // This process has reached its limit of open files; the proxy may work.
            Err(failure) if is_out_of_files(failure) => {}
            Err(failure) if failure.kind().is_none() => self.failed(failure),
            Ok(_) | Err(_) => self.works(),
        }
        opened
    }

    async fn connect(&self, account: &AccountId) -> Result<TcpStream, Fault> {
        let ProxyAddress { host, port, .. } = self.proxy.address();
        let addresses = match host {
            Host::Ipv4(address) => vec![(*address).into()],
            Host::Ipv6(address) => vec![(*address).into()],
            Host::Domain(host) => self.resolver.resolve(account, host).await.map_err(Fault::Lookup)?,
        };
        let (stream, _) = connect_any(&addresses, *port).await.map_err(Fault::Connect)?;
        Ok(stream)
    }

    fn failed(&self, failure: &ProxyFailure) {
        let before = self.failed_at().replace(Instant::now());
        if before.is_none() {
            tracing::error!(proxy = %self.proxy.address(), error = failure.chain(), "cannot use the egress proxy; deliveries wait");
            self.latch
                .not_ready("deliveries wait because the proxy of --egress-proxy cannot be used; the log says why");
        }
    }

    fn works(&self) {
        if self.failed_at().take().is_some() {
            tracing::info!(proxy = %self.proxy.address(), "egress proxy works again");
            self.latch.ready();
        }
    }

    fn failed_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets an old failure: another process may have sent the waiting work.
    pub(super) async fn watch(egress: Weak<Self>) {
        let mut ticks = interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(egress) = egress.upgrade() else { return };
            let old = egress.failed_at().is_some_and(|at| at.elapsed() >= FAILURE_COUNTS_FOR);
            if old {
                egress.failed_at().take();
                egress.latch.ready();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_the_proxy_is_decoded_and_never_repeated() {
        let settings = EgressSettings::new("http://lead%40line:p%2Fw%3A1@proxy.example:3128", false).unwrap();
        assert_eq!(
            format!("{settings:?}"),
            "EgressSettings { proxy: Proxy(Http proxy.example:3128), resolves: false }"
        );
        for url in
            ["proxy.example:3128", "http://user:SECRET@", "https://user:SECRET@proxy.example", "http://u:SECRET@h/a"]
        {
            let said = format!("{:#}", EgressSettings::new(url, false).unwrap_err());
            assert!(said.starts_with("--egress-proxy is not the URL") && !said.contains("SECRET"), "{said}");
        }
    }
}
