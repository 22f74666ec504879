//! Normal forms. Two values of a kind are equal if their normal forms are equal.
//!
//! The normal form of a normal form is itself. Every normal form is based on NFKC (Unicode Standard Annex 15). So a
//! full-width letter or digit equals the plain one, and a letter with a combining accent equals the accented letter.

use icu_normalizer::ComposingNormalizerBorrowed;
use url::Host;

/// The kind of a searchable value. It decides which differences are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Kind {
    /// A text; case and space are ignored.
    #[default]
    Text,
    /// A mail address; case, space, and the spelling of the domain are ignored.
    Email,
    /// A phone number; only its digits count, and whether it has a country code.
    Phone,
}

/// The maximum size of a value and of its normal form, in bytes. A longer value is not searchable.
const MAX_BYTES: usize = 512;
/// The minimum and maximum number of digits of a phone number. Short codes have three; E.164 allows 15, and some people
/// write more.
const MIN_DIGITS: usize = 3;
const MAX_DIGITS: usize = 20;
/// The maximum number of normalisation steps until a value stays the same. Folding the case of a letter may give a
/// letter that folds again.
const MAX_STEPS: usize = 4;

impl Kind {
    pub const ALL: [Self; 3] = [Self::Text, Self::Email, Self::Phone];

    /// The word that facts and the command line use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind in a sentence.
    pub(crate) const fn article(self) -> &'static str {
        match self {
            Self::Text => "a text of at most 512 bytes",
            Self::Email => "a mail address",
            Self::Phone => "a phone number",
        }
    }

    /// The normal form of a value; `None` if it is not a value of this kind, or too long.
    pub fn normal(self, value: &str) -> Option<String> {
        let mut normal = self.normalise_once(value)?;
        for _ in 0..MAX_STEPS {
            let next = self.normalise_once(&normal)?;
            if next == normal {
                break;
            }
            normal = next;
        }
        Some(normal)
    }

    fn normalise_once(self, value: &str) -> Option<String> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let composed = composed(value);
        match self {
            Self::Text => text(&composed),
            Self::Email => email(&composed),
            Self::Phone => phone(&composed),
        }
    }
}

fn composed(value: &str) -> String {
    ComposingNormalizerBorrowed::new_nfkc().normalize(value).into_owned()
}

/// A text without case differences: `ß` becomes `ss`, because its capital form is `SS`.
fn folded(value: &str) -> String {
    composed(&value.to_uppercase().to_lowercase())
}

fn text(value: &str) -> Option<String> {
    let normal = folded(value).split_whitespace().collect::<Vec<_>>().join(" ");
    (!normal.is_empty()).then_some(normal)
}

/// The address may be in angle brackets after a name, or after `mailto:`. Rules of single providers, which ignore dots
/// or the part after a plus, are not applied.
fn email(value: &str) -> Option<String> {
    let visible: String = folded(value).chars().filter(|c| !is_invisible(*c)).collect();
    let address = match visible.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((_, address)) => address.trim(),
        None => visible.trim(),
    };
    let (local, domain) = address.strip_prefix("mailto:").unwrap_or(address).rsplit_once('@')?;
    if local.is_empty() || domain.is_empty() || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    match Host::parse(domain) {
        Ok(Host::Domain(ascii)) => Some(format!("{local}@{ascii}")),
        _ => Some(format!("{local}@{domain}")),
    }
}

/// A number with a country code begins with `+`, even if it was written with `00`. The zero in `+49 (0) …` is only for
/// callers in the country, so it is dropped.
fn phone(value: &str) -> Option<String> {
    let value = value.trim();
    let value = match value.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &value[4..],
        _ => value,
    };
    let (mut plus, mut digits) = dialled(value)?;
    if plus || digits.starts_with("00") {
        (plus, digits) = dialled(&value.replacen("(0)", "", 1))?;
    }
    if let Some(international) = digits.strip_prefix("00").filter(|_| !plus) {
        (plus, digits) = (true, international.to_owned());
    }
    let normal = if plus { format!("+{digits}") } else { digits.clone() };
    (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()).then_some(normal)
}

/// Whether a number begins with `+`, and its digits; `None` if it contains other characters than these and separators.
fn dialled(text: &str) -> Option<(bool, String)> {
    let (mut plus, mut digits) = (false, String::new());
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            // NFKC leaves the digits of Arabic and Persian as they are.
            '\u{660}'..='\u{669}' => digits.extend(char::from_digit(u32::from(c) - 0x660, 10)),
            '\u{6f0}'..='\u{6f9}' => digits.extend(char::from_digit(u32::from(c) - 0x6f0, 10)),
            '+' if digits.is_empty() && !plus => plus = true,
            // Hyphens, dashes and the minus sign.
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '.' | '/' | '(' | ')' | '·' => {}
            c if c.is_whitespace() || is_invisible(c) => {}
            _ => return None,
        }
    }
    Some((plus, digits))
}

/// Invisible characters that address books add to copied texts: soft hyphens, joiners, and marks of direction.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn are(kind: Kind, normal: Option<&str>, values: &[&str]) {
        for value in values {
            assert_eq!(kind.normal(value).as_deref(), normal, "{value:?}");
        }
    }

    #[test]
    fn mail_addresses_ignore_case_space_and_domain_spelling() {
        let ada = ["ada@example.com", " ADA@Example.COM\n", "mailto:ada@example.com", "Ada L. <ada@example.com>"];
        are(Kind::Email, Some("ada@example.com"), &ada);
        are(Kind::Email, Some("ada@example.com"), &["ａｄａ＠example.com", "\u{202a}ada@example.com\u{202c}"]);
        let munich = ["o@münchen.example", "O@MU\u{308}NCHEN.example", "o@xn--mnchen-3ya.example"];
        are(Kind::Email, Some("o@xn--mnchen-3ya.example"), &munich);
        are(Kind::Email, Some("jos\u{e9}@x.example"), &["Jos\u{e9}@x.example", "JOSE\u{301}@x.example"]);
        are(Kind::Email, Some("a.b+c@x.example"), &["A.B+C@x.example"]);
        are(Kind::Email, Some("a@[10.0.0.1]"), &["a@[10.0.0.1]"]);
        are(
            Kind::Email,
            None,
            &["", "ada", "@x.example", "ada@", "a da@x.example", "ada@x.example, bob@x.example", "<>"],
        );
    }

    #[test]
    fn phone_numbers_are_compared_by_digits_and_country() {
        let german = [
            "+49 170 1234567",
            "+49 (0) 170 / 123 45-67",
            "+49 (0)170 1234567",
            "0049 170 1234567",
            "0049 (0)170 1234567",
            "(+49) 170.123.45.67",
            "tel:+49-170-1234567",
            "TEL:+491701234567",
            "＋４９ １７０ １２３４５６７",
            "+49\u{a0}170\u{2011}1234567",
            "\u{202a}+49 170 1234567\u{202c}",
            "+٤٩ ١٧٠ ١٢٣٤٥٦٧",
            "+۴۹ ۱۷۰ ۱۲۳۴۵۶۷",
            "+ 49 170 – 1234567",
        ];
        are(Kind::Phone, Some("+491701234567"), &german);
        are(Kind::Phone, Some("01701234567"), &["0170 1234567", "(0170) 1234567", "(0)170-1234567"]);
        are(Kind::Phone, Some("112"), &["112", "1 1 2"]);
        are(Kind::Phone, Some("+15551234567"), &["+1 (555) 123-4567", "001 555 123 4567"]);
        let none = ["", "12", "call me", "0170 1234567 ext. 3", "49+170", "++49170", "+", "123456789012345678901"];
        are(Kind::Phone, None, &none);
    }

    #[test]
    fn texts_are_compared_without_case_and_space() {
        are(Kind::Text, Some("ada lovelace"), &["Ada Lovelace", "  ADA\t\nLOVELACE ", "ada\u{a0}lovelace"]);
        are(Kind::Text, Some("strasse"), &["Straße", "STRASSE", "strasse"]);
        are(Kind::Text, Some("\u{e9}"), &["É", "e\u{301}", "E\u{301}"]);
        are(Kind::Text, None, &["", " ", &"x".repeat(MAX_BYTES + 1)]);
        assert_ne!(Kind::Text.normal("ada"), Kind::Text.normal("adà"));
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop::sample::select(Kind::ALL.to_vec())
    }

    /// Any characters, and texts that look like values.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ -~]{0,40}",
            r"\+?[0-9 ()./\u{2013}-]{0,30}",
            "[a-zA-ZäÖßİıΣςſ\u{308}.+%]{1,8}@[a-zA-ZäÖßİı\u{308}.%-]{1,12}",
        ]
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(kind in kinds(), text in texts()) {
            if let Some(normal) = kind.normal(&text) {
                prop_assert!(normal.len() <= 4 * MAX_BYTES);
                let again = kind.normal(&normal);
                prop_assert_eq!(again.as_ref(), Some(&normal), "{:?} of {:?}", kind, text);
            }
        }

        #[test]
        fn space_around_a_value_does_not_matter(kind in kinds(), text in texts()) {
            prop_assert_eq!(kind.normal(&format!(" \t{text}\u{a0}\n")), kind.normal(&text));
        }

        #[test]
        fn different_addresses_have_different_normal_forms(one in "[a-z0-9.]{1,8}@[a-z]{1,8}\\.example", two in "[a-z0-9.]{1,8}@[a-z]{1,8}\\.example") {
            prop_assert_eq!(Kind::Email.normal(&one) == Kind::Email.normal(&two), one == two);
            prop_assert_eq!(Kind::Email.normal(&one.to_uppercase()), Some(one));
        }

        #[test]
        fn only_the_digits_of_a_phone_number_matter(digits in "[1-9][0-9]{5,13}", at in 0..5_usize, separator in "[ ./-]{1,3}") {
            let written = format!("+{}{separator}{}", &digits[..at], &digits[at..]);
            prop_assert_eq!(Kind::Phone.normal(&written), Some(format!("+{digits}")));
            prop_assert_eq!(Kind::Phone.normal(&format!("00{digits}")), Some(format!("+{digits}")));
            prop_assert_ne!(Kind::Phone.normal(&digits), Some(format!("+{digits}")));
        }
    }
}
