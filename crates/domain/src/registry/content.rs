//! The content type of a destination's bodies, and how values are escaped in them.

use std::fmt;

use super::{
    form::Form,
    request::{Body, RequestShape},
};
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
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > Self::MAX_BYTES {
            return Err(format!("has {} bytes, and {} is the limit", text.len(), Self::MAX_BYTES));
        }
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let is_line = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let is_type = essence.trim().split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
        if !is_line || !is_type || !are_parameters(parameters) {
            return Err(format!("{} is no media type such as application/json; charset=utf-8", quoted(text)));
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

    fn has_parameter(&self, name: &str) -> bool {
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

/// What follows the first semicolon: `name=token` or `name="quoted"`, separated by semicolons.
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

impl RequestShape {
    /// How values are written into its body.
    pub fn format(&self) -> Format {
        match (&self.content_type, &self.body) {
            (Some(content_type), _) => content_type.format(),
            (None, Body::Form) => Format::Form,
            (None, Body::Multipart) => Format::Multipart,
            (None, _) => Format::Json,
        }
    }

    /// Whether method, body, content type and form are compatible.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub(super) fn check_content(&self) -> Result<(), (&'static str, String)> {
        let is_form = matches!(self.body, Body::Form | Body::Multipart);
        if !is_form && self.form != Form::default() {
            return Err(("form", "is only for the body presets form and multipart; leave it out".to_owned()));
        }
        if !self.method.carries_body() {
            return self.check_bodiless();
        }
        let Some(content_type) = &self.content_type else { return Ok(()) };
        let refuse = |problem: String| Err(("content_type", format!("{content_type:?} {problem}")));
        match (&self.body, content_type.format()) {
            (Body::Form, Format::Form) | (Body::Multipart, Format::Multipart) => {}
            (Body::Form, _) => {
                return refuse(
                    "is not application/x-www-form-urlencoded, which the body preset form writes".to_owned(),
                );
            }
            (Body::Multipart, _) => {
                return refuse("is not multipart/form-data, which the body preset multipart writes".to_owned());
            }
            (Body::Template(_), Format::Multipart) => {
                return refuse("cannot be written by a template; use the body preset multipart".to_owned());
            }
            (Body::Template(_), _) | (Body::Payload | Body::Envelope | Body::Slack, Format::Json | Format::Text) => {}
            (Body::Payload | Body::Envelope | Body::Slack, Format::Form | Format::Multipart) => {
                return refuse("is a form, and this body is JSON; use the body preset form or multipart".to_owned());
            }
            (Body::Payload | Body::Envelope | Body::Slack, Format::Xml) => {
                return refuse("is XML, and this body is JSON; use a body template".to_owned());
            }
        }
        if self.body == Body::Multipart && content_type.has_parameter("boundary") {
            return refuse("names a boundary, which Leadline makes for each request".to_owned());
        }
        Ok(())
    }

    fn check_bodiless(&self) -> Result<(), (&'static str, String)> {
        let method = self.method.as_str();
        if self.body != Body::Payload {
            let advice = "set the body preset payload, and put values into the URL";
            return Err(("body", format!("cannot be sent with {method}, which carries none; {advice}")));
        }
        if self.content_type.is_some() {
            return Err(("content_type", format!("describes a body, and {method} carries none; leave it out")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Method;

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
    fn what_is_no_media_type_is_refused() {
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

    fn refused(body: Body, content_type: &str) -> Option<&'static str> {
        let content_type = Some(content_type).filter(|text| !text.is_empty()).map(|t| ContentType::parse(t).unwrap());
        let shape = RequestShape { body, content_type, ..RequestShape::default() };
        shape.check_content().err().map(|(field, _)| field)
    }

    #[test]
    fn a_content_type_has_to_be_that_of_the_body() {
        let template = || Body::Template("x".into());
        let json = [Body::Payload, Body::Envelope, Body::Slack];
        for body in json.iter().cloned().chain([Body::Form, Body::Multipart, template()]) {
            assert_eq!(refused(body, ""), None);
        }
        for body in json.iter().cloned().chain([template()]) {
            assert_eq!(refused(body.clone(), "application/vnd.api+json"), None);
            assert_eq!(refused(body.clone(), "text/plain"), None);
            assert_eq!(refused(body, "multipart/form-data"), Some("content_type"));
        }
        for body in json {
            assert_eq!(refused(body.clone(), "text/xml"), Some("content_type"));
            assert_eq!(refused(body, "application/x-www-form-urlencoded"), Some("content_type"));
        }
        assert_eq!(refused(template(), "text/xml"), None);
        assert_eq!(refused(template(), "application/x-www-form-urlencoded"), None);
        assert_eq!(refused(Body::Form, "application/x-www-form-urlencoded; charset=utf-8"), None);
        assert_eq!(refused(Body::Form, "application/json"), Some("content_type"));
        assert_eq!(refused(Body::Multipart, "multipart/form-data"), None);
        assert_eq!(refused(Body::Multipart, "multipart/form-data; boundary=x"), Some("content_type"));
    }

    #[test]
    fn a_method_without_a_body_takes_nothing_that_describes_one() {
        for method in [Method::Get, Method::Delete] {
            let shape = RequestShape { method, ..RequestShape::default() };
            assert_eq!(shape.check_content(), Ok(()));
            let with_body = RequestShape { body: Body::Envelope, ..shape.clone() };
            assert_eq!(with_body.check_content().unwrap_err().0, "body");
            let content_type = Some(ContentType::parse("text/plain").unwrap());
            let with_type = RequestShape { content_type, ..shape };
            assert_eq!(with_type.check_content().unwrap_err().0, "content_type");
        }
    }
}
