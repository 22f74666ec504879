//! The stored content of a destination's requests: body, content type, form and compatibility signature.

use domain::registry::{
    Body, CompatibilitySignature, ContentType, Encoding, Form, Hash, Lists, Nesting, SignedContent,
};

use super::fields::FACT;
use crate::{
    primitives::{non_empty, or_empty, parsed, wrong},
    record::RecordError,
    stored,
};

pub(super) fn body_to_stored(body: &Body) -> Option<stored::Body> {
    let kind = match body {
        Body::Payload => return None,
        Body::Envelope => stored::body::Kind::Envelope(true),
        Body::Slack => stored::body::Kind::Slack(true),
        Body::Template(text) => stored::body::Kind::Template(text.clone()),
        Body::Form => stored::body::Kind::Form(true),
        Body::Multipart => stored::body::Kind::Multipart(true),
    };
    Some(stored::Body { kind: Some(kind) })
}

pub(super) fn body_from_stored(stored: Option<stored::Body>) -> Body {
    match stored.and_then(|body| body.kind) {
        None => Body::Payload,
        Some(stored::body::Kind::Envelope(_)) => Body::Envelope,
        Some(stored::body::Kind::Slack(_)) => Body::Slack,
        Some(stored::body::Kind::Template(text)) => Body::Template(text),
        Some(stored::body::Kind::Form(_)) => Body::Form,
        Some(stored::body::Kind::Multipart(_)) => Body::Multipart,
    }
}

pub(super) fn content_type_to_stored(content_type: Option<&ContentType>) -> String {
    or_empty(content_type.map(ContentType::as_str))
}

pub(super) fn content_type_from_stored(stored: &str) -> Result<Option<ContentType>, RecordError> {
    non_empty(stored).map(|text| parsed(FACT, "content_type", text, ContentType::parse)).transpose()
}

pub(super) fn form_to_stored(form: &Form) -> Option<stored::Form> {
    let entry = |(key, value): &(String, String)| stored::FormEntry { key: key.clone(), value: value.clone() };
    (*form != Form::default()).then(|| stored::Form {
        nesting: form.nesting.as_str().to_owned(),
        lists: form.lists.as_str().to_owned(),
        fields: form.fields.iter().map(entry).collect(),
        only_fields: form.only_fields,
        constants: form.constants.iter().map(entry).collect(),
    })
}

pub(super) fn form_from_stored(stored: Option<stored::Form>) -> Result<Form, RecordError> {
    let Some(stored) = stored else { return Ok(Form::default()) };
    let unknown = |field, word: &str| wrong(FACT, field, format!("{word:?} is unknown"));
    let pairs = |entries: Vec<stored::FormEntry>| entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    Ok(Form {
        nesting: Nesting::parse(&stored.nesting).ok_or_else(|| unknown("nesting", &stored.nesting))?,
        lists: Lists::parse(&stored.lists).ok_or_else(|| unknown("lists", &stored.lists))?,
        fields: pairs(stored.fields),
        only_fields: stored.only_fields,
        constants: pairs(stored.constants),
    })
}

pub(super) fn compatibility_to_stored(signature: &CompatibilitySignature) -> stored::CompatibilitySignature {
    stored::CompatibilitySignature {
        header: signature.header.clone(),
        hash: signature.hash.as_str().to_owned(),
        encoding: signature.encoding.as_str().to_owned(),
        prefix: signature.prefix.clone(),
        content: signature.content.as_str().to_owned(),
        timestamp_header: or_empty(signature.content.timestamp_header()),
    }
}

pub(super) fn compatibility_from_stored(
    stored: stored::CompatibilitySignature,
) -> Result<CompatibilitySignature, RecordError> {
    let unknown = |field, word: &str| wrong(FACT, field, format!("{word:?} is unknown"));
    Ok(CompatibilitySignature {
        hash: Hash::parse(&stored.hash).ok_or_else(|| unknown("hash", &stored.hash))?,
        encoding: Encoding::parse(&stored.encoding).ok_or_else(|| unknown("encoding", &stored.encoding))?,
        content: SignedContent::parse(&stored.content, &stored.timestamp_header)
            .map_err(|problem| wrong(FACT, "content", problem))?,
        header: stored.header,
        prefix: stored.prefix,
    })
}
