//! The rules of an installation for URLs.

use url::Url;

use crate::{
    registry::refusal::{Refusal, invalid},
    text::quoted,
};

/// The maximum length of a URL, in bytes.
const MAX_URL: usize = 2_000;

/// The rules for the URLs of destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UrlRules {
    /// Whether plain HTTP is allowed besides HTTPS.
    pub allow_plain_http: bool,
}

pub(in crate::registry) fn check_url(field: &'static str, text: &str, rules: UrlRules) -> Result<(), Refusal> {
    let refuse = |problem: String| Err(invalid(field, problem));
    if text.len() > MAX_URL {
        return refuse(format!("is {} bytes long, and {MAX_URL} is the limit", text.len()));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(e) => return refuse(format!("{} is not a URL: {e}", quoted(text))),
    };
    match url.scheme() {
        "https" => {}
        "http" if rules.allow_plain_http => {}
        "http" => return refuse("plain http is not allowed here; use https".into()),
        other => return refuse(format!("the scheme {} is not allowed; use https", quoted(other))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not contain credentials".into());
    }
    Ok(())
}
