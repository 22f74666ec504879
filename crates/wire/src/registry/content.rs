//! What a destination's requests carry, as it is stored: content type, form, second signature.

use domain::registry::{
    Body, CompatibilitySignature, ContentType, Encoding, Form, Hash, Lists, Nesting, SignedContent,
};

use super::FACT;
use crate::{
    WireError, events,
    primitives::{non_empty, or_empty, parsed, wrong},
};

pub(super) fn body_to_wire(body: &Body) -> Option<events::Body> {
    let kind = match body {
        Body::Payload => return None,
        Body::Envelope => events::body::Kind::Envelope(true),
        Body::Slack => events::body::Kind::Slack(true),
        Body::Template(text) => events::body::Kind::Template(text.clone()),
        Body::Form => events::body::Kind::Form(true),
        Body::Multipart => events::body::Kind::Multipart(true),
    };
    Some(events::Body { kind: Some(kind) })
}

pub(super) fn body_from_wire(stored: Option<events::Body>) -> Body {
    match stored.and_then(|body| body.kind) {
        None => Body::Payload,
        Some(events::body::Kind::Envelope(_)) => Body::Envelope,
        Some(events::body::Kind::Slack(_)) => Body::Slack,
        Some(events::body::Kind::Template(text)) => Body::Template(text),
        Some(events::body::Kind::Form(_)) => Body::Form,
        Some(events::body::Kind::Multipart(_)) => Body::Multipart,
    }
}

pub(super) fn content_type_to_wire(content_type: Option<&ContentType>) -> String {
    or_empty(content_type.map(ContentType::as_str))
}

pub(super) fn content_type_from_wire(stored: &str) -> Result<Option<ContentType>, WireError> {
    non_empty(stored).map(|text| parsed(FACT, "content_type", text, ContentType::parse)).transpose()
}

pub(super) fn form_to_wire(form: &Form) -> Option<events::Form> {
    let entry = |(key, value): &(String, String)| events::FormEntry { key: key.clone(), value: value.clone() };
    (*form != Form::default()).then(|| events::Form {
        nesting: form.nesting.as_str().to_owned(),
        lists: form.lists.as_str().to_owned(),
        fields: form.fields.iter().map(entry).collect(),
        only_fields: form.only_fields,
        constants: form.constants.iter().map(entry).collect(),
    })
}

pub(super) fn form_from_wire(stored: Option<events::Form>) -> Result<Form, WireError> {
    let Some(stored) = stored else { return Ok(Form::default()) };
    let unknown = |field, word: &str| wrong(FACT, field, format!("{word:?} is none"));
    let pairs = |entries: Vec<events::FormEntry>| entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    Ok(Form {
        nesting: Nesting::parse(&stored.nesting).ok_or_else(|| unknown("nesting", &stored.nesting))?,
        lists: Lists::parse(&stored.lists).ok_or_else(|| unknown("lists", &stored.lists))?,
        fields: pairs(stored.fields),
        only_fields: stored.only_fields,
        constants: pairs(stored.constants),
    })
}

pub(super) fn compatibility_to_wire(signature: &CompatibilitySignature) -> events::CompatibilitySignature {
    events::CompatibilitySignature {
        header: signature.header.clone(),
        hash: signature.hash.as_str().to_owned(),
        encoding: signature.encoding.as_str().to_owned(),
        prefix: signature.prefix.clone(),
        content: signature.content.as_str().to_owned(),
        timestamp_header: or_empty(signature.content.timestamp_header()),
    }
}

pub(super) fn compatibility_from_wire(
    stored: events::CompatibilitySignature,
) -> Result<CompatibilitySignature, WireError> {
    let unknown = |field, word: &str| wrong(FACT, field, format!("{word:?} is none"));
    Ok(CompatibilitySignature {
        hash: Hash::parse(&stored.hash).ok_or_else(|| unknown("hash", &stored.hash))?,
        encoding: Encoding::parse(&stored.encoding).ok_or_else(|| unknown("encoding", &stored.encoding))?,
        content: SignedContent::parse(&stored.content, &stored.timestamp_header)
            .map_err(|problem| wrong(FACT, "content", problem))?,
        header: stored.header,
        prefix: stored.prefix,
    })
}
