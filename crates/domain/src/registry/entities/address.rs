//! Mail addresses and brands: the texts of an account that mails contain.
//!
//! Guarantee: an accepted address is valid in an SMTP envelope, because the same function, [`envelope_address`], checks
//! the address and writes it in the form for mail servers.

use url::Host;

use crate::text::quoted;

/// The maximum length of an address, in bytes, in the form for mail servers (RFC 5321 section 4.5.3.1.3, without the
/// angle brackets).
pub const MAX_ADDRESS: usize = 254;
/// The maximum length of the part before the `@`, in bytes, with its quotes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;
/// The maximum length of a part of a domain between two dots, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// The maximum length of a brand, in characters. It precedes the subject of each mail, which must fit into a line.
const MAX_BRAND: usize = 64;

/// Checks that a text is a mail address. Only its mail server knows whether the mailbox exists.
///
/// # Errors
/// Why the text is refused.
pub fn check_email(text: &str) -> Result<(), String> {
    envelope_address(text).map(drop)
}

/// An address in the form for mail servers: the domain in Punycode, the part before the `@` in quotes if it needs them.
///
/// # Errors
/// Why the text is not an address.
pub fn envelope_address(text: &str) -> Result<String, String> {
    let problem = |why: &str| Err(format!("{} is not an email address: {why}", quoted(text)));
    if text.len() > MAX_ADDRESS {
        return problem(&format!("it is longer than {MAX_ADDRESS} bytes"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\\\"[]".contains(c)) {
        return problem("it contains a blank or a character that is not allowed");
    }
    let Some((local, domain)) = text.split_once('@').filter(|(local, domain)| {
        let is_one = !domain.contains('@');
        is_one && !local.is_empty() && !domain.is_empty()
    }) else {
        return problem("it is not of the form name@host");
    };
    if !local.is_ascii() {
        return problem("mail servers take only ASCII characters before the @");
    }
    let local = if local.split('.').any(str::is_empty) { format!("\"{local}\"") } else { local.to_owned() };
    if local.len() > MAX_LOCAL_PART {
        return problem(&format!("the part before the @ is longer than {MAX_LOCAL_PART} bytes"));
    }
    let Some(domain) = ascii_domain(domain) else {
        return problem("the part after the @ is not a domain name");
    };
    let address = format!("{local}@{domain}");
    if address.len() > MAX_ADDRESS {
        return problem(&format!("it is longer than {MAX_ADDRESS} bytes in the form that mail servers take"));
    }
    Ok(address)
}

/// A domain name in ASCII (IDNA); `None` if the text is not a domain name, such as an IPv4 address.
fn ascii_domain(text: &str) -> Option<String> {
    // The parser of URLs decodes percent signs, which mail addresses do not have.
    if text.contains('%') {
        return None;
    }
    let Ok(Host::Domain(domain)) = Host::parse(text) else { return None };
    domain.split('.').all(is_label).then_some(domain)
}

fn is_label(label: &str) -> bool {
    let has_only_letters_and_digits = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let has_dash_at_end = label.starts_with('-') || label.ends_with('-');
    (1..=MAX_LABEL).contains(&label.len()) && has_only_letters_and_digits && !has_dash_at_end
}

/// Checks that a text is a brand: one short line that mail programs do not turn into a link.
///
/// # Errors
/// Why the text is refused.
pub fn check_brand(text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_BRAND {
        return Err(format!("is longer than {MAX_BRAND} characters"));
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err("has to be one line of visible characters".to_owned());
    }
    if text.contains("//") || text.contains('@') || text.split_whitespace().any(names_a_host) {
        return Err("must not contain a URL, a host name or a mail address; write a blank after each dot".to_owned());
    }
    Ok(())
}

/// Whether a character is invisible or changes the direction of a text, so that a line looks like another one.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether mail programs turn a word into a link: it has a dot inside, and its last part may be a top-level domain.
fn names_a_host(word: &str) -> bool {
    let mut labels = word.split(['.', '\u{ff0e}']).map(|label| label.trim_matches(|c: char| !c.is_alphanumeric()));
    let mut before = labels.next().unwrap_or_default();
    labels.any(|label| {
        let last: String = label.chars().take_while(|c| c.is_alphanumeric()).collect();
        let is_top_level = last.chars().count() >= 2 && !last.chars().all(|c| c.is_ascii_digit());
        let names = !before.is_empty() && is_top_level;
        before = label;
        names
    })
}
