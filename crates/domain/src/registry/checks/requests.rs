//! The checks of the fields that shape requests. These fields depend on each other.

use crate::registry::{
    refusal::{Refusal, invalid},
    request::{
        compatibility::{CompatibilitySignature, SignedContent},
        content::Format,
        form::Form,
        shape::{Body, RequestShape},
    },
};

pub(in crate::registry) fn check_request(shape: &RequestShape) -> Result<(), Refusal> {
    if shape.headers.len() > RequestShape::MAX_HEADERS {
        let max = RequestShape::MAX_HEADERS;
        return Err(invalid("headers", format!("has {} entries, and {max} is the limit", shape.headers.len())));
    }
    for (name, value) in &shape.headers {
        RequestShape::check_header(name).map_err(|problem| invalid("headers", problem))?;
        // RFC 9110 (5.5) allows other bytes, but receivers read them in different encodings, and the HTTP client
        // refuses to send them.
        let sendable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if value.len() > RequestShape::MAX_HEADER || !sendable {
            let longest = RequestShape::MAX_HEADER;
            return Err(invalid("headers", format!("{name}: has to be one line of ASCII of at most {longest} bytes")));
        }
    }
    if let Some(credentials) = &shape.credentials
        && credentials.header != "authorization"
    {
        RequestShape::check_header(&credentials.header).map_err(|problem| invalid("auth", problem))?;
    }
    shape.form.check()?;
    shape.check_content().map_err(|(field, problem)| invalid(field, problem))?;
    if let Some(signature) = &shape.compatibility_signature {
        signature.check(shape).map_err(|problem| invalid("compatibility_signature", problem))?;
    }
    match &shape.body {
        Body::Template(text) if text.len() > RequestShape::MAX_TEMPLATE => {
            Err(invalid("body_template", format!("is longer than {} bytes", RequestShape::MAX_TEMPLATE)))
        }
        _ => Ok(()),
    }
}

impl RequestShape {
    /// Whether method, body, content type and form are compatible.
    ///
    /// # Errors
    /// The invalid field, and its problem.
    fn check_content(&self) -> Result<(), (&'static str, String)> {
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

impl CompatibilitySignature {
    /// Checks the prefix, and that the headers do not clash with those of the request.
    ///
    /// # Errors
    /// The problem.
    fn check(&self, shape: &RequestShape) -> Result<(), String> {
        let timestamp = self.content.timestamp_header();
        for header in [Some(self.header.as_str()), timestamp].into_iter().flatten() {
            RequestShape::check_header(header)?;
            let taken = shape.headers.iter().any(|(name, _)| name == header)
                || shape.credentials.as_ref().is_some_and(|credentials| credentials.header == header);
            if taken {
                return Err(format!("the header {header:?} is set by headers or auth already; name another one"));
            }
        }
        if timestamp == Some(self.header.as_str()) {
            return Err(format!("the header {:?} cannot carry both signature and timestamp", self.header));
        }
        if self.content == SignedContent::TimestampInSignature && !self.prefix.is_empty() {
            let problem = "prefix cannot be written before t=…,v1=…; leave it out, or name a timestamp_header";
            return Err(problem.to_owned());
        }
        let printable = self.prefix.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if self.prefix.len() > Self::MAX_PREFIX || !printable {
            return Err(format!("prefix has to be one line of ASCII of at most {} bytes", Self::MAX_PREFIX));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{
        entities::secret::SealedSecret,
        request::{
            compatibility::{Encoding, Hash},
            content::ContentType,
            shape::{CredentialKind, Credentials, Method},
        },
    };

    fn refused(body: Body, content_type: &str) -> Option<&'static str> {
        let content_type = Some(content_type).filter(|text| !text.is_empty()).map(|t| ContentType::parse(t).unwrap());
        let shape = RequestShape { body, content_type, ..RequestShape::default() };
        shape.check_content().err().map(|(field, _)| field)
    }

    #[test]
    fn a_content_type_has_to_match_the_body() {
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
    fn a_method_without_a_body_allows_no_body_settings() {
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

    fn signature(header: &str, prefix: &str, content: SignedContent) -> CompatibilitySignature {
        let (hash, encoding) = (Hash::default(), Encoding::default());
        CompatibilitySignature { header: header.into(), hash, encoding, prefix: prefix.into(), content }
    }

    #[test]
    fn a_signature_header_cannot_replace_another_header() {
        let shape = RequestShape {
            headers: vec![("x-tenant".into(), "7".into())],
            credentials: Some(Credentials {
                kind: CredentialKind::Header,
                header: "x-key".into(),
                sealed: SealedSecret(vec![]),
                oauth2: None,
            }),
            ..RequestShape::default()
        };
        let check = |header: &str, content| signature(header, "", content).check(&shape);
        assert_eq!(check("x-hub-signature-256", SignedContent::Body), Ok(()));
        for header in ["x-tenant", "x-key", "webhook-signature", "leadline-attempt", "content-type", "X-Upper", ""] {
            assert!(check(header, SignedContent::Body).is_err(), "{header}");
            let timestamp = SignedContent::TimestampInHeader(header.to_owned());
            assert!(check("x-signature", timestamp).is_err(), "{header}");
        }
        assert!(check("x-both", SignedContent::TimestampInHeader("x-both".into())).is_err());
        assert_eq!(check("x-signature", SignedContent::TimestampInHeader("x-timestamp".into())), Ok(()));
    }

    #[test]
    fn a_prefix_is_one_line_before_a_plain_signature() {
        let check = |prefix: &str, content| signature("x-s", prefix, content).check(&RequestShape::default());
        assert_eq!(check("sha256=", SignedContent::Body), Ok(()));
        assert_eq!(check("", SignedContent::TimestampInSignature), Ok(()));
        assert!(check("v1=", SignedContent::TimestampInSignature).is_err());
        assert!(check("a\nb", SignedContent::Body).is_err());
        assert!(check(&"x".repeat(101), SignedContent::Body).is_err());
    }
}
