//! The content type of a destination's bodies, and how values are escaped in them.

use std::fmt;

use crate::text::quoted;

/// A media type with its parameters (RFC 9110, 8.3.1), such as `application/json; charset=utf-8`.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentType(String);

/// How values are written into a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`, `text/json`, and every type that ends with `+json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// `application/xml`, `text/xml`, and every type that ends with `+xml`.
    Xml,
    /// Every other type. Its syntax is unknown, so nothing is escaped.
    Text,
}

impl ContentType {
    /// The maximum length, in bytes.
    pub const MAX_BYTES: usize = 200;

    /// Parses a media type.
    ///
    /// # Errors
    /// Why the text is not a media type.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > Self::MAX_BYTES {
            return Err(format!("has {} bytes, and {} is the limit", text.len(), Self::MAX_BYTES));
        }
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let is_line = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let is_type = essence.trim().split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
        if !is_line || !is_type || !are_parameters(parameters) {
            return Err(format!("{} is not a media type such as application/json; charset=utf-8", quoted(text)));
        }
        Ok(Self(text.to_owned()))
    }

    /// The media type as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How values are written into a body of this type.
    pub fn format(&self) -> Format {
        let essence = self.0.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "text/json" => Format::Json,
            "application/x-www-form-urlencoded" => Format::Form,
            "multipart/form-data" => Format::Multipart,
            "application/xml" | "text/xml" => Format::Xml,
            other if other.ends_with("+json") => Format::Json,
            other if other.ends_with("+xml") => Format::Xml,
            _ => Format::Text,
        }
    }

    pub(in crate::registry) fn has_parameter(&self, name: &str) -> bool {
        let given = self.0.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        given.into_iter().any(|(given, _)| given.trim().eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token of HTTP (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether the text after the first semicolon is a list of `name=token` or `name="quoted"`, separated by semicolons.
fn are_parameters(mut rest: &str) -> bool {
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return true;
        }
        let Some((name, value)) = rest.split_once('=') else { return false };
        let end = match value.strip_prefix('"') {
            // A quote or a backslash would need escapes, which no common media type has.
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => Some(value.find(';').unwrap_or(value.len())),
        };
        let Some((value, after)) = end.and_then(|end| value.split_at_checked(end)) else { return false };
        let inside = value.trim_matches('"');
        let is_value = if value.starts_with('"') { is_quotable(inside) } else { is_token(inside.trim_end()) };
        if !is_token(name) || !is_value {
            return false;
        }
        match after.trim_start().strip_prefix(';') {
            Some(next) => rest = next,
            None => return after.trim().is_empty(),
        }
    }
}

fn is_quotable(text: &str) -> bool {
    text.bytes().all(|b| (b == b' ' || b.is_ascii_graphic()) && b != b'\\' && b != b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(text: &str) -> Result<Format, String> {
        ContentType::parse(text).map(|content_type| content_type.format())
    }

    #[test]
    fn a_media_type_decides_how_values_are_written() {
        for (text, format) in [
            ("application/json", Format::Json),
            ("Application/JSON; charset=utf-8", Format::Json),
            ("application/vnd.api+json", Format::Json),
            ("application/vnd.api+json; profile=\"https://x.example/a b; c\"; v=1", Format::Json),
            ("application/x-www-form-urlencoded;charset=UTF-8", Format::Form),
            ("multipart/form-data", Format::Multipart),
            ("text/xml ; charset=\"utf-8\" ;", Format::Xml),
            ("application/soap+xml", Format::Xml),
            ("text/plain", Format::Text),
            ("application/x-ndjson", Format::Text),
        ] {
            assert_eq!(format_of(text), Ok(format), "{text}");
        }
    }

    #[test]
    fn an_invalid_media_type_is_refused() {
        let long = format!("text/{}", "x".repeat(ContentType::MAX_BYTES));
        for text in [
            "",
            "json",
            "application/",
            "/json",
            "a/b/c",
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; charset=\"utf-8",
            "text/plain; charset=\"a\\\"b\"",
            "text/plain; a=\"b\" c",
            "text/plain\r\nx-evil: 1",
            "text/plain;\r\n charset=utf-8",
            "text/plain; a=ä",
            &long,
        ] {
            assert!(ContentType::parse(text).is_err(), "{text}");
        }
    }
}
