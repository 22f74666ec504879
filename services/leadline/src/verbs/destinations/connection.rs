//! How a destination is reached: certificates and a proxy. Keys come from files; passwords from the file of `--from`.

use anyhow::Context as _;
use clap::Args;

use crate::{errors::usage, moments::shown, table::Cell};

/// Settings of the connections to a destination.
#[derive(Debug, Args)]
pub(super) struct ConnectionSettings {
    /// File with the certificate (PEM, with those between it and its authority) to show to the receiver (mutual TLS);
    /// '': none is shown
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// File with the private key of that certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
    /// File with the authorities (PEM) that sign the receiver's certificate, in place of the public ones; '': the public ones
    #[arg(long = "ca", value_name = "FILE")]
    authorities: Option<String>,
    /// The proxy that its requests go through, http://HOST:PORT (CONNECT) or socks5://HOST:PORT; '': none. Username and
    /// password belong into the file of --from
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

impl ConnectionSettings {
    /// Writes what is said into a destination; the names of that.
    pub(super) fn apply(&self, destination: &mut api::Destination) -> anyhow::Result<Vec<&'static str>> {
        let mut said = vec![];
        match (&self.client_cert, &self.client_key) {
            (None, None) => {}
            (Some(chain), None) if chain.is_empty() => {
                destination.client_certificate = None;
                said.push("client_certificate");
            }
            (Some(chain), Some(key)) => {
                destination.client_certificate = Some(api::ClientCertificate {
                    certificate_chain: read("--client-cert", chain)?,
                    private_key: read("--client-key", key)?,
                    ..api::ClientCertificate::default()
                });
                said.push("client_certificate");
            }
            (Some(_), None) => return Err(usage("--client-key is missing: where is the key of --client-cert?")),
            (None, Some(_)) => {
                return Err(usage("--client-cert is missing: where is the certificate of --client-key?"));
            }
        }
        if let Some(file) = &self.authorities {
            destination.ca_certificates = if file.is_empty() { String::new() } else { read("--ca", file)? };
            said.push("ca_certificates");
        }
        if let Some(url) = &self.proxy {
            let proxy = api::DestinationProxy { url: url.clone(), ..destination.proxy.take().unwrap_or_default() };
            destination.proxy = Some(proxy).filter(|proxy| !proxy.url.is_empty());
            said.push("proxy");
        }
        Ok(said)
    }
}

fn read(flag: &str, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{flag}: {file} cannot be read"))
}

/// What differs from the installation's way to reach receivers.
pub(super) fn facts(destination: &api::Destination) -> Vec<(&'static str, Cell)> {
    let mut facts = vec![];
    if let Some(own) = &destination.client_certificate {
        let expires = shown(own.not_after.as_ref());
        facts.push(("client certificate", format!("{} until {expires}", own.subject).into()));
    }
    let authorities = destination.ca_certificates.matches("-----BEGIN").count();
    if authorities > 0 {
        facts.push(("authorities", format!("{authorities} of its own").into()));
    }
    if let Some(proxy) = &destination.proxy {
        let login = if proxy.username.is_empty() { String::new() } else { format!(" as {}", proxy.username) };
        facts.push(("proxy", format!("{}{login}", proxy.url).into()));
    }
    if let Some(client) = destination.auth.as_ref().and_then(|auth| auth.shown_oauth2.as_ref()) {
        facts.push(("token server", format!("{} as {}", client.token_url, client.client_id).into()));
    }
    facts
}
