//! Rendered URLs: the check that no lead changes where a request goes, and the form of URLs for people who may not see
//! the lead.

use url::Url;

use crate::error::{MAX_URL, RenderError};

/// Parses a rendered URL.
///
/// # Errors
/// When it is not a URL, or its shape differs from the template.
pub(crate) fn checked(filled: &str, written: &Url) -> Result<Url, RenderError> {
    if filled.len() > MAX_URL {
        return Err(RenderError::LongUrl { size: filled.len() });
    }
    let url = Url::parse(filled)?;
    if url.origin() != written.origin() {
        return Err(RenderError::Host);
    }
    let segments: Vec<_> = path(filled).split(['/', '\\']).collect();
    if let Some(dots) = segments.iter().find(|segment| is_dots(segment)) {
        return Err(RenderError::Path(format!("a segment of its path is {dots:?}, which leads to another path")));
    }
    let parsed = url.path_segments().map_or(0, Iterator::count);
    if parsed != segments.len() {
        return Err(RenderError::Path(format!(
            "its path is written with {} segments, but read as {parsed}",
            segments.len()
        )));
    }
    Ok(url)
}

/// The URL of a request without values of its lead. If the settings can have produced the URL, the result is the URL of
/// the settings, with its templates. Otherwise the settings have changed, and the result has only scheme, host and
/// port, with `/…` after them.
pub fn without_values(settings: &str, requested: &str) -> String {
    if requested.is_empty() {
        return String::new();
    }
    let fixed = settings.find("{{").into_iter().chain(settings.find("{%")).min().map(|end| &settings[..end]);
    let is_from_settings = match fixed {
        // If the request could not be rendered, the recorded URL is the template itself.
        _ if requested == settings => true,
        None => Url::parse(settings).is_ok_and(|url| url.as_str() == requested),
        Some(fixed) => Url::parse(fixed).is_ok_and(|begin| requested.starts_with(begin.as_str())),
    };
    if is_from_settings {
        return settings.to_owned();
    }
    Url::parse(requested).map_or_else(|_| "…".to_owned(), |url| format!("{}/…", url.origin().ascii_serialization()))
}

/// The path of a URL as written, without its first slash.
fn path(text: &str) -> &str {
    let after_scheme = text.split_once(':').map_or(text, |(_, rest)| rest).trim_start_matches(['/', '\\']);
    let before_query = after_scheme.split(['?', '#']).next().unwrap_or_default();
    before_query.split_once(['/', '\\']).map_or("", |(_, path)| path)
}

/// Whether a server or a URL parser reads the segment as `.` or `..` (RFC 3986, 3.3).
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".").replace(['\t', '\n', '\r'], "");
    matches!(plain.trim(), "." | "..")
}
