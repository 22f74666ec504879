//! Removes credentials from answers, because some receivers echo the request, and answers are stored, shown and mailed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::AttemptOutcome;

/// Replaces a secret.
pub(crate) const REDACTED: &str = "[redacted]";
/// Shorter values are not treated as secrets, because they would remove ordinary words from answers.
const MIN_SECRET: usize = 4;

/// The secrets of a request, in every form in which a receiver may echo them.
#[derive(Clone, Default)]
pub(crate) struct Redaction {
    /// The longest first, because one may be a part of another.
    secrets: Vec<Secret>,
}

#[derive(Clone, PartialEq, Eq)]
struct Secret {
    text: String,
    /// A beginning of at least this many bytes is secret, too.
    from: usize,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redaction({} secrets)", self.secrets.len())
    }
}

impl Redaction {
    /// The secrets of a header that carries credentials: its whole value, and the part after the scheme (RFC 9110,
    /// 11.4). With `Basic` also the decoded user and password together, and the password.
    pub(crate) fn of_header(value: &[u8]) -> Self {
        let value = String::from_utf8_lossy(value).into_owned();
        let (scheme, parameter) = value.split_once(' ').unwrap_or(("", &value));
        let mut parts = vec![parameter.trim().to_owned()];
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(decoded) = STANDARD.decode(parameter.trim())
        {
            let pair = String::from_utf8_lossy(&decoded).into_owned();
            parts.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
            parts.push(pair);
        }
        let secret = |from| move |text| Secret { text, from };
        let parts = parts.iter().flat_map(|part| echoed(part)).map(secret(MIN_SECRET));
        let whole = echoed(&value).map(secret(scheme.len() + 1 + MIN_SECRET));
        let mut secrets: Vec<_> = parts.chain(whole).filter(|secret| secret.text.len() >= MIN_SECRET).collect();
        secrets.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        secrets.dedup_by(|a, b| a.text == b.text);
        Self { secrets }
    }

    /// Removes the secrets from a text.
    pub(crate) fn apply_to(&self, mut text: String) -> String {
        self.redact(&mut text);
        text
    }

    /// Removes the secrets from an outcome.
    pub(crate) fn apply(&self, mut outcome: AttemptOutcome) -> AttemptOutcome {
        match &mut outcome {
            AttemptOutcome::Response { excerpt: text, .. } | AttemptOutcome::NoResponse { message: text, .. } => {
                self.redact(text);
            }
        }
        outcome
    }

    fn redact(&self, text: &mut String) {
        for Secret { text: secret, .. } in &self.secrets {
            if text.contains(secret) {
                *text = text.replace(secret, REDACTED);
            }
        }
        // The text may have been cut inside a secret.
        let beginning = |secret: &Secret| {
            let mut ends = (secret.from..secret.text.len()).rev().filter(|end| secret.text.is_char_boundary(*end));
            ends.find(|end| text.ends_with(&secret.text[..*end]))
        };
        if let Some(length) = self.secrets.iter().filter_map(beginning).max() {
            text.truncate(text.len() - length);
            text.push_str(REDACTED);
        }
    }
}

/// A secret in plain text, in JSON and in HTML.
fn echoed(secret: &str) -> [String; 3] {
    let json = secret.replace('\\', "\\\\").replace('"', "\\\"");
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    [secret.to_owned(), json, html]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(header: &str, text: &str) -> String {
        let mut text = text.to_owned();
        Redaction::of_header(header.as_bytes()).redact(&mut text);
        text
    }

    #[test]
    fn an_echoed_secret_is_redacted_in_every_form() {
        // bob:pass"word<7
        let basic = "Basic Ym9iOnBhc3Mid29yZDw3";
        for (header, text, expected) in [
            ("Bearer abcd1234", "Authorization: Bearer abcd1234!", "Authorization: [redacted]!"),
            ("Bearer abcd1234", "token abcd1234 is not known", "token [redacted] is not known"),
            ("abcd1234", "x-api-key=abcd1234&x-api-key=abcd1234", "x-api-key=[redacted]&x-api-key=[redacted]"),
            (basic, r#"{"authorization":"Basic Ym9iOnBhc3Mid29yZDw3"}"#, r#"{"authorization":"[redacted]"}"#),
            (basic, "Ym9iOnBhc3Mid29yZDw3", "[redacted]"),
            (basic, r#"bob:pass"word<7"#, "[redacted]"),
            (basic, r#"wrong password pass"word<7 for bob"#, "wrong password [redacted] for bob"),
            (basic, r#"{"password":"pass\"word<7"}"#, r#"{"password":"[redacted]"}"#),
            (basic, "<p>pass&quot;word&lt;7</p>", "<p>[redacted]</p>"),
            ("Bearer abcd1234", "nothing of it", "nothing of it"),
            ("Token a", "a Token", "a Token"),
        ] {
            assert_eq!(redacted(header, text), expected, "{header}: {text}");
        }
    }

    #[test]
    fn a_secret_that_was_cut_off_is_redacted_too() {
        assert_eq!(redacted("Bearer abcd1234", "said: abcd12"), "said: [redacted]");
        assert_eq!(redacted("Bearer abcd1234", "said: Bearer abcd"), "said: [redacted]");
        assert_eq!(redacted("Bearer abcd1234", "said: abc"), "said: abc");
        assert_eq!(redacted("Bearer abcd1234", "said: Bearer"), "said: Bearer");
    }

    #[test]
    fn the_debug_form_does_not_show_secrets() {
        assert_eq!(format!("{:?}", Redaction::of_header(b"Bearer abcd1234")), "Redaction(2 secrets)");
    }
}
