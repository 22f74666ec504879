//! The URL at which the trace of an attempt is shown.

use std::{fmt, str::FromStr};

use url::Url;

/// The placeholder of the trace id in the template.
const PLACEHOLDER: &str = "{trace_id}";
/// A trace id, to try a template with.
const EXAMPLE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A URL template with a placeholder for the id of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceUrl(String);

/// A template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "it is not an http or https URL with {PLACEHOLDER} after its host, such as https://traces.example/trace/{PLACEHOLDER}"
)]
pub struct NoTraceUrl;

impl FromStr for TraceUrl {
    type Err = NoTraceUrl;

    fn from_str(text: &str) -> Result<Self, NoTraceUrl> {
        let url = Url::parse(&text.replace(PLACEHOLDER, EXAMPLE)).map_err(|_| NoTraceUrl)?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.username().is_empty();
        // An id in the host would name a host that does not exist.
        let is_behind = url.host_str().is_some_and(|host| !host.contains(EXAMPLE)) && text.contains(PLACEHOLDER);
        if is_web && is_behind { Ok(Self(text.to_owned())) } else { Err(NoTraceUrl) }
    }
}

impl fmt::Display for TraceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_url_is_a_web_address_with_the_id() {
        for good in
            ["https://traces.example/trace/{trace_id}", "http://127.0.0.1:16686/trace/{trace_id}?x=1#{trace_id}"]
        {
            assert_eq!(good.parse::<TraceUrl>().unwrap().to_string(), good);
        }
        let bad = [
            "https://traces.example/trace/",
            "javascript:alert('{trace_id}')",
            "data:text/html,{trace_id}",
            "/trace/{trace_id}",
            "https://{trace_id}.example/",
            "https://user@traces.example/{trace_id}",
            "ftp://traces.example/{trace_id}",
        ];
        for bad in bad {
            assert!(bad.parse::<TraceUrl>().is_err(), "{bad}");
        }
    }
}
