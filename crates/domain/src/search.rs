//! The values inside payloads by which leads are found.
//!
//! An interface has searchable fields, each with a name, a path into the payload, and a kind. The kind decides the
//! normal form of values. Only normal forms are compared, and the read model keeps a keyed hash of each, never the
//! value.
//!
//! Payloads are untrusted, so the work on each is bounded. There are limits for the values of a field, the entries of
//! lists that a path visits, and the size of a value.

mod normal;

use std::{collections::BTreeSet, fmt};

pub use normal::Kind;

use crate::{
    json::{self, Json},
    path,
    text::quoted,
};

/// The maximum number of searchable fields of an interface, and of values that a search names.
pub const MAX_FIELDS: usize = 8;
/// The maximum number of different values of a field that an event adds. A person has only a few addresses.
pub const MAX_VALUES: usize = 16;
/// The maximum number of values and entries of lists that are visited for a field of an event.
const MAX_VISITED: usize = 1_000;
/// The maximum length of a name, in bytes.
const MAX_NAME: usize = 32;
/// The maximum length of a path, in bytes.
const MAX_PATH: usize = 256;

/// The name of a searchable field: lower-case letters, digits and `_`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(String);

impl FieldName {
    /// Parses a name.
    ///
    /// # Errors
    /// Why the text is not a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if plain && text.len() <= MAX_NAME && text.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Ok(Self(text.to_owned()));
        }
        let problem = "is not a name of lower-case letters, digits and '_' that begins with a letter";
        Err(format!("{} {problem}, with at most {MAX_NAME} bytes", quoted(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a searchable value in payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    parts: Vec<String>,
}

impl FieldPath {
    /// Parses a path.
    ///
    /// # Errors
    /// Why the text is not a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATH {
            return Err(format!("has {} bytes, and {MAX_PATH} is the limit", text.len()));
        }
        match path::parts(text) {
            Ok(parts) => Ok(Self { text: text.to_owned(), parts }),
            Err(error) => Err(format!("{} {error}", quoted(text))),
        }
    }

    /// The path, as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Why a valid path may never find a value.
    fn doubt(&self) -> Option<String> {
        let odd = |part: &&String| part.contains(['[', ']', '*', '$']) || part.trim() != part.as_str();
        let part = self.parts.iter().find(odd)?;
        Some(format!(
            "{} names a field {}, taken literally; write an index as a separate part (payload.phones.0); without an \
             index, a path covers every entry of a list",
            self.text,
            quoted(part)
        ))
    }
}

/// A value inside payloads by which leads are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchField {
    pub name: FieldName,
    pub path: FieldPath,
    pub kind: Kind,
}

/// Warnings about fields that are probably a mistake.
pub fn warnings(fields: &[SearchField]) -> Vec<String> {
    let mut warnings: Vec<_> = fields.iter().filter_map(|field| field.path.doubt()).collect();
    for (index, field) in fields.iter().enumerate() {
        for other in &fields[..index] {
            let (one, two) = (&other.path.parts, &field.path.parts);
            if one == two && other.kind == field.kind {
                warnings.push(format!("{} and {} are the same value", other.name, field.name));
            } else if one != two && (one.starts_with(two) || two.starts_with(one)) {
                let (outer, inner) = if one.len() < two.len() { (other, field) } else { (field, other) };
                warnings.push(format!(
                    "{} finds nothing in payloads in which {} finds something: {} is an object there, not a value",
                    outer.name,
                    inner.name,
                    outer.path.as_str()
                ));
            }
        }
    }
    warnings
}

/// The normal forms of the values that a payload has for these fields, each once. Empty if the payload is not JSON.
pub fn values<'a>(fields: &'a [SearchField], payload: &[u8]) -> BTreeSet<(&'a FieldName, String)> {
    let mut found = BTreeSet::new();
    if fields.is_empty() {
        return found;
    }
    let Ok(payload) = json::parse(payload) else { return found };
    for field in fields {
        let mut search = Search { kind: field.kind, visited: 0, found: BTreeSet::new() };
        search.look(&payload, &field.path.parts);
        found.extend(search.found.into_iter().map(|value| (&field.name, value)));
    }
    found
}

/// The search for the values of one field.
struct Search {
    kind: Kind,
    visited: usize,
    found: BTreeSet<String>,
}

impl Search {
    fn look(&mut self, at: &Json, path: &[String]) {
        if self.visited >= MAX_VISITED || self.found.len() >= MAX_VALUES {
            return;
        }
        self.visited += 1;
        match (at, path) {
            (Json::Text(text) | Json::Number(text), []) => self.found.extend(self.kind.normal(text)),
            (Json::Object(fields), [name, rest @ ..]) => {
                if let Some(value) = path::field(fields, name) {
                    self.look(value, rest);
                }
            }
            (Json::Array(items), [index, rest @ ..]) if index.parse::<usize>().is_ok() => {
                if let Some(item) = index.parse::<usize>().ok().and_then(|index| items.get(index)) {
                    self.look(item, rest);
                }
            }
            (Json::Array(items), path) => items.iter().take(MAX_VISITED).for_each(|item| self.look(item, path)),
            _ => {}
        }
    }
}

/// A value that a search requires: the field of the lead has one of these normal forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub field: FieldName,
    pub normal: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, path: &str, kind: Kind) -> SearchField {
        SearchField { name: FieldName::parse(name).unwrap(), path: FieldPath::parse(path).unwrap(), kind }
    }

    fn found(path: &str, payload: &str) -> Vec<String> {
        let fields = [field("it", path, Kind::Text)];
        values(&fields, payload.as_bytes()).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn a_path_finds_texts_numbers_and_entries_of_lists() {
        let table: [(&str, &str, &[&str]); 12] = [
            ("payload.a", r#"{"a": " X "}"#, &["x"]),
            ("payload.a", r#"{"a": 1, "a": 2}"#, &["2"]),
            ("payload.a", r#"{"a": null}"#, &[]),
            ("payload.a", r#"{"a": {"b": "x"}}"#, &[]),
            ("payload.a", r#"{"a": ["x", ["y", 3], true, {"b": "z"}]}"#, &["3", "x", "y"]),
            ("payload.a.b", r#"{"a": [{"b": "x"}, {"b": ["y"]}, "z", [{"b": "w"}]]}"#, &["w", "x", "y"]),
            ("payload.a.1.b", r#"{"a": [{"b": "x"}, {"b": "y"}]}"#, &["y"]),
            ("payload.a.7", r#"{"a": ["x"]}"#, &[]),
            ("payload.0", r#"{"0": "x"}"#, &["x"]),
            (r"payload.a\.b", r#"{"a.b": "x"}"#, &["x"]),
            ("payload", r#""x""#, &["x"]),
            ("payload.a", "no JSON", &[]),
        ];
        for (path, payload, expected) in table {
            assert_eq!(found(path, payload), expected, "{path} in {payload}");
        }
    }

    #[test]
    fn the_work_on_a_hostile_payload_is_bounded() {
        let many: Vec<_> = (0..MAX_VISITED * 3).map(|number| format!("\"v{number}\"")).collect();
        assert_eq!(found("payload.a", &format!("{{\"a\": [{}]}}", many.join(","))).len(), MAX_VALUES);
        let nothing = vec!["[null,[]]"; MAX_VISITED];
        assert!(found("payload.a", &format!("{{\"a\": [{}, \"x\"]}}", nothing.join(","))).is_empty());
        let deep = format!("{{\"a\": {}\"x\"{}}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(found("payload.a", &deep), ["x"]);
        assert!(found("payload.a", &format!("{{\"a\": \"{}\"}}", "x".repeat(100_000))).is_empty());
    }

    #[test]
    fn a_name_and_a_path_are_checked() {
        for name in ["email", "e", "phone_2"] {
            assert!(FieldName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "Email", "2nd", "_x", "e-mail", "é", &"x".repeat(MAX_NAME + 1)] {
            assert!(FieldName::parse(name).is_err(), "{name}");
        }
        for path in [
            "",
            "email",
            "$.email",
            "payload.",
            "payload..a",
            r"payload.a\b",
            &format!("payload.{}", "a".repeat(MAX_PATH)),
        ] {
            assert!(FieldPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn doubtful_searchable_fields_cause_warnings() {
        let warned = |fields: &[SearchField]| warnings(fields).join("\n");
        let (email, phone) = (field("email", "payload.email", Kind::Email), field("phone", "payload.tel", Kind::Phone));
        assert_eq!(warned(&[email.clone(), phone]), "");
        for path in ["payload.items[0].email", "payload.*.email", "payload. email"] {
            assert!(warned(&[field("email", path, Kind::Email)]).contains("as a separate part"), "{path}");
        }
        assert!(warned(&[email.clone(), field("mail", "payload.email", Kind::Email)]).contains("are the same value"));
        assert_eq!(warned(&[email.clone(), field("any", "payload.email", Kind::Text)]), "");
        let inner = field("domain", "payload.email.domain", Kind::Text);
        assert!(warned(&[inner, email]).starts_with("email finds nothing in payloads in which domain finds something"));
    }
}
