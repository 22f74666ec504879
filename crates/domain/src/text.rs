//! Untrusted texts inside messages. A message stays short, even if it quotes a long value.

use std::fmt;

/// The maximum number of characters of a rejected value in a message: enough to recognise it.
const MAX_QUOTED: usize = 80;
/// The maximum size of a message, in bytes. Clients refuse long trailers: grpc-java above 8 KiB, C-core above 16 KiB.
/// In trailers, percent-encoding makes up to three bytes of one byte.
pub const MAX_MESSAGE: usize = 900;

/// A rejected value in a message. A long value is cut, and its length is added.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(&'a str);

/// Quotes a value for a message.
pub const fn quoted(value: &str) -> Quoted<'_> {
    Quoted(value)
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_QUOTED) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}… ({} characters)", &self.0[..end], self.0.chars().count()),
        }
    }
}

/// A message of at most [`MAX_MESSAGE`] bytes. A longer one loses its middle, because its end often says what to do.
pub fn bounded(message: String) -> String {
    bounded_to(MAX_MESSAGE, message)
}

/// A text of at most `max` bytes. A longer one also loses its middle.
pub fn bounded_to(max: usize, text: String) -> String {
    const GAP: &str = " … ";
    if text.len() <= max {
        return text;
    }
    let half = max.saturating_sub(GAP.len()) / 2;
    let (begin, end) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    format!("{}{GAP}{}", &text[..begin], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_value_is_quoted_whole_and_a_long_one_is_cut() {
        assert_eq!(quoted("a \"b\"").to_string(), r#""a \"b\"""#);
        assert_eq!(quoted(&"ä".repeat(80)).to_string(), format!("\"{}\"", "ä".repeat(80)));
        assert_eq!(quoted(&"ä".repeat(20_000)).to_string(), format!("\"{}\"… (20000 characters)", "ä".repeat(80)));
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let fits = "x".repeat(MAX_MESSAGE);
        assert_eq!(bounded(fits.clone()), fits);
        let long = bounded(format!("url: {} is not a URL", "€".repeat(20_000)));
        assert!(long.len() <= MAX_MESSAGE, "{}", long.len());
        assert!(long.starts_with("url: €€€") && long.contains("€ … €") && long.ends_with("€ is not a URL"), "{long}");
    }
}
