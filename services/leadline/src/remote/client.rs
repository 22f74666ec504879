//! Connects to a running system with an API key.

use std::{fs, io::ErrorKind, path::PathBuf, time::Duration};

use access::{AuthChannel, AuthInterceptor};
use anyhow::Context as _;
use clap::Args;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Uri};

use crate::{
    processes::data_dir::ADMIN_KEY,
    remote::contexts::{Context, Contexts},
};

/// The address of the API, and the key for calls.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ClientOptions {
    /// URL of the gRPC API [default: that of the context, or http://127.0.0.1:9090]
    #[arg(long, env = "LEADLINE_GRPC_URL", value_name = "URL")]
    grpc_url: Option<String>,
    /// File with certificates (PEM) of authorities to trust over https [default: the public ones]
    #[arg(long, env = "LEADLINE_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// API key to call with, ll_… [default: the file admin.key of the data directory, if the server is on this machine]
    #[arg(long, env = "LEADLINE_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Folder in which leadline up keeps the administrator's key
    #[arg(long, env = "LEADLINE_DATA_DIR", default_value = ".leadline", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Context to take connection and account from; leadline context lists them [default: the one in use]
    #[arg(long, env = "LEADLINE_CONTEXT", value_name = "NAME")]
    context: Option<String>,
}

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a server is pinged over HTTP/2 while a call waits for its answer, and how long the ping may take. Without
/// pings, a watch would wait for ever on a connection that died silently, for example while the computer slept.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// The URL if neither an option nor a context gives one.
const DEFAULT_URL: &str = "http://127.0.0.1:9090";

impl ClientOptions {
    pub(crate) async fn connect(&self) -> anyhow::Result<AuthChannel> {
        let context = self.context()?;
        let url = &self.grpc_url.clone().unwrap_or_else(|| context.grpc_url.clone());
        let endpoint = Endpoint::from_shared(url.clone())
            .with_context(|| format!("--grpc-url: {url:?} is not a URL such as http://127.0.0.1:9090"))?;
        let endpoint = bounded(endpoint);
        let key = self.key(&context, url, endpoint.uri())?;
        let with_key = AuthInterceptor::new(&key).context("--api-key: an API key is one line, ll_<id>_<secret>")?;
        if endpoint.uri().scheme_str() != Some("https") {
            let channel = endpoint.connect().await;
            return Ok(with_key.over(channel.with_context(|| format!("nothing answers at {url} (--grpc-url)"))?));
        }
        let endpoint = endpoint.tls_config(self.tls(&context)?).context("--tls-ca: the authority cannot be trusted")?;
        let untrusted =
            || format!("no trusted server answers at {url} (--grpc-url); --tls-ca names the authorities to trust");
        Ok(with_key.over(endpoint.connect().await.with_context(untrusted)?))
    }

    /// The context that an option names, or else the one in use, or else the default for this machine.
    pub(crate) fn context(&self) -> anyhow::Result<Context> {
        let chosen = Contexts::read()?.chosen(self.context.as_deref())?;
        Ok(chosen.unwrap_or_else(|| Context { grpc_url: DEFAULT_URL.to_owned(), ..Context::default() }))
    }

    /// The context that these options describe.
    pub(crate) fn described(&self, account: Option<&str>) -> anyhow::Result<Context> {
        let absolute = |file: &PathBuf| std::path::absolute(file).with_context(|| file.display().to_string());
        Ok(Context {
            grpc_url: self.grpc_url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned()),
            tls_ca: self.tls_ca.as_ref().map(absolute).transpose()?,
            api_key: self.api_key.clone(),
            account: account.map(str::to_owned),
        })
    }

    fn tls(&self, context: &Context) -> anyhow::Result<ClientTlsConfig> {
        let config = ClientTlsConfig::new();
        let Some(file) = self.tls_ca.as_ref().or(context.tls_ca.as_ref()) else {
            return Ok(config.with_webpki_roots());
        };
        let pem = fs::read(file).with_context(|| format!("--tls-ca: {} cannot be read", file.display()))?;
        Ok(config.ca_certificate(Certificate::from_pem(pem)))
    }

    fn key(&self, context: &Context, url: &str, server: &Uri) -> anyhow::Result<String> {
        if let Some(given) = &self.api_key {
            return Ok(given.clone());
        }
        // The key of a context is sent to the server of the context only.
        if let Some(kept) = context.api_key.as_ref().filter(|_| context.grpc_url == url) {
            return Ok(kept.clone());
        }
        let missing = "there is no API key; give one with --api-key or LEADLINE_API_KEY";
        // The administrator's key is sent to no other machine unless the caller passes it.
        anyhow::ensure!(is_this_machine(server), "{missing} (the key in the data directory stays on this machine)");
        let file = self.data_dir.join(ADMIN_KEY);
        match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                anyhow::bail!("{missing}, or name the data directory of leadline up with --data-dir")
            }
            read => read.with_context(|| format!("{} cannot be read; {missing}", file.display())),
        }
    }
}

/// Limits how long a connection waits for a server that does not react.
fn bounded(endpoint: Endpoint) -> Endpoint {
    let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT);
    endpoint.http2_keep_alive_interval(PROBE_INTERVAL).keep_alive_timeout(PROBE_TIMEOUT)
}

fn is_this_machine(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use api::{WhoAmIRequest, access_service_client::AccessServiceClient};
    use tokio::net::TcpListener;

    use super::*;
    use crate::terminal::errors::is_away;

    #[tokio::test]
    async fn a_server_that_falls_silent_counts_as_absent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let channel = bounded(Endpoint::from_shared(url).unwrap()).connect().await.unwrap();
        let _silent = listener.accept().await.unwrap();
        tokio::time::pause();
        let status = AccessServiceClient::new(channel).who_am_i(WhoAmIRequest {}).await.unwrap_err();
        assert!(is_away(&status), "{status:?}");
    }

    #[test]
    fn the_key_of_the_data_directory_stays_on_this_machine() {
        for (url, here) in [
            ("http://127.0.0.1:9090", true),
            ("https://localhost:9090", true),
            ("http://[::1]:9090", true),
            ("http://10.0.0.1:9090", false),
            ("https://127.0.0.1.example.com", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_this_machine(&url.parse().unwrap()), here, "{url}");
        }
    }
}
