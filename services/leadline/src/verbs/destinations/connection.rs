//! The options for connections to a destination: certificates and a proxy. Private keys are read from files, and the
//! proxy's password from the file of `--from`, because others can see arguments.

use anyhow::Context as _;
use clap::Args;

use crate::terminal::{errors::usage, table::Cell, time_args::shown};

/// The options for the connections to a destination.
#[derive(Debug, Args)]
pub(super) struct ConnectionSettings {
    /// File with the client certificate for mutual TLS (PEM, with its intermediate certificates); '' removes it
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// File with the private key of that certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
    /// File with the authorities (PEM) that sign the receiver's certificate, in place of the public ones; '' restores
    /// the public ones
    #[arg(long = "ca", value_name = "FILE")]
    authorities: Option<String>,
    /// Proxy for its requests, http://HOST:PORT (CONNECT) or socks5://HOST:PORT; '' removes it. Put username and
    /// password into the file of --from
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

impl ConnectionSettings {
    /// Writes the given options into a destination, and returns the names of the fields.
    pub(super) fn apply(&self, destination: &mut api::Destination) -> anyhow::Result<Vec<&'static str>> {
        let mut names = vec![];
        match (&self.client_cert, &self.client_key) {
            (None, None) => {}
            (Some(chain), None) if chain.is_empty() => {
                destination.client_certificate = None;
                names.push("client_certificate");
            }
            (Some(chain), Some(key)) => {
                destination.client_certificate = Some(api::ClientCertificate {
                    certificate_chain: read("--client-cert", chain)?,
                    private_key: read("--client-key", key)?,
                    ..api::ClientCertificate::default()
                });
                names.push("client_certificate");
            }
            (Some(_), None) => return Err(usage("--client-key is missing: give the key of --client-cert")),
            (None, Some(_)) => {
                return Err(usage("--client-cert is missing: give the certificate of --client-key"));
            }
        }
        if let Some(file) = &self.authorities {
            destination.ca_certificates = if file.is_empty() { String::new() } else { read("--ca", file)? };
            names.push("ca_certificates");
        }
        if let Some(url) = &self.proxy {
            let proxy = api::DestinationProxy { url: url.clone(), ..destination.proxy.take().unwrap_or_default() };
            destination.proxy = Some(proxy).filter(|proxy| !proxy.url.is_empty());
            names.push("proxy");
        }
        Ok(names)
    }
}

fn read(flag: &str, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{flag}: {file} cannot be read"))
}

/// The connection settings that the destination has.
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
