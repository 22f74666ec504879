//! Searchable fields on the command line: how interfaces name them, and how lists search by them.

use std::collections::HashMap;

use api::SearchableKind;

/// The kinds by the words of the command line.
const KINDS: [(&str, SearchableKind); 3] =
    [("text", SearchableKind::Text), ("email", SearchableKind::Email), ("phone", SearchableKind::Phone)];

/// A value to search by: `NAME=VALUE`. The value may contain `=`.
pub(super) fn value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as email=ada@example.com".to_owned()),
    }
}

/// The values of a request. Fails if a name is given twice, because the first value would be lost.
pub(super) fn values(given: &[(String, String)]) -> anyhow::Result<HashMap<String, String>> {
    let values: HashMap<_, _> = given.iter().cloned().collect();
    if values.len() < given.len() {
        return Err(crate::terminal::errors::usage(
            "--where names a field twice; give each field once, because a lead has to have all of the values",
        ));
    }
    Ok(values)
}

/// A searchable field: `NAME=PATH`, or `NAME=PATH:KIND`. Without a kind, a field with the name email or phone has that
/// kind, and any other field has the kind text. `None` if the text is empty, which removes all fields.
pub(super) fn field(text: &str) -> Result<Option<api::SearchableField>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong =
        || "write NAME=PATH:KIND, such as email=payload.contact.email:email; the kinds are text, email and phone";
    let (name, place) = text.split_once('=').ok_or_else(wrong)?;
    let kind_of = |word: &str| KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    let (path, kind) = match place.rsplit_once(':') {
        Some((path, word)) => (path, kind_of(word).ok_or_else(wrong)?),
        None => (place, kind_of(name).unwrap_or(SearchableKind::Text)),
    };
    Ok(Some(api::SearchableField { name: name.to_owned(), path: path.to_owned(), kind: kind.into() }))
}

/// A field in the notation of the command line.
pub(super) fn shown(field: &api::SearchableField) -> String {
    let word = KINDS.iter().find(|(_, kind)| *kind == field.kind()).map_or("text", |(word, _)| word);
    format!("{}={}:{word}", field.name, field.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_as_it_is_shown() {
        let read = |text: &str| field(text).map(|field| field.as_ref().map(shown));
        assert_eq!(read("email=payload.email:email").unwrap().unwrap(), "email=payload.email:email");
        assert_eq!(read("phone=payload.tel").unwrap().unwrap(), "phone=payload.tel:phone");
        assert_eq!(read("city=payload.a:b:text").unwrap().unwrap(), "city=payload.a:b:text");
        assert_eq!(read("city=payload.city").unwrap().unwrap(), "city=payload.city:text");
        assert_eq!(read(""), Ok(None));
        assert!(read("email").is_err() && read("email=payload.email:mail").is_err());
    }

    #[test]
    fn a_value_may_contain_an_equals_sign() {
        assert_eq!(value("q=a=b"), Ok(("q".to_owned(), "a=b".to_owned())));
        assert!(value("ada@example.com").is_err() && value("=x").is_err());
        assert_eq!(values(&[("q".into(), "a".into())]).unwrap().len(), 1);
        assert!(values(&[("q".into(), "a".into()), ("q".into(), "b".into())]).is_err());
    }
}
