//! Keeps credentials, signatures and client certificates at the origin that they were given for.

use api::status::invalid;
use domain::{registry::Destination, text::quoted};
use tonic::Status;
use url::Url;

/// Whether an update sets or removes each of the settings that identify the sender of requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) credentials: bool,
    pub(super) token: bool,
    pub(super) certificate: bool,
}

/// Refuses an update that would send credentials, signatures or a client certificate of one origin (RFC 6454: scheme,
/// host and port) to another one, or credentials through another proxy. Some people who may change the URL must not
/// learn these secrets.
pub(super) fn check(now: &Destination, changed: &Destination, given: Given) -> Result<(), Status> {
    let has_certificate = now.transport.client_certificate.is_some();
    let credentials = (now.request.credentials.is_some() && !given.credentials, "its credentials (auth)");
    if let (Some(before), Some(after)) = (origin(&now.url), origin(&changed.url))
        && before != after
    {
        let kept = [
            credentials,
            (now.token.is_some() && !given.token, "its token (token_id)"),
            (has_certificate && !given.certificate, "its client certificate (client_certificate)"),
        ];
        refuse_kept("url", &format!("would move the destination from {before} to {after}"), &kept)?;
    }
    match &changed.transport.proxy {
        Some(proxy) if now.transport.proxy.as_ref().map(|proxy| &proxy.url) != Some(&proxy.url) => {
            refuse_kept("proxy", &format!("would send requests through {}", quoted(&proxy.url)), &[credentials])
        }
        _ => Ok(()),
    }
}

fn refuse_kept(field: &str, what: &str, kept: &[(bool, &str)]) -> Result<(), Status> {
    let kept: Vec<_> = kept.iter().filter(|(kept, _)| *kept).map(|(_, what)| *what).collect();
    if kept.is_empty() {
        return Ok(());
    }
    Err(invalid(
        field,
        format!(
            "{what}, together with {}; give them again in the same update, or remove them (leadline destinations \
             update: --token ID, --client-cert FILE, and auth in the file of --from)",
            kept.join(" and ")
        ),
    ))
}

/// Scheme, host and port, which cannot be templates.
fn origin(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
}
