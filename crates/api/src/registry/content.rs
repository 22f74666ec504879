//! Conversions of the content of a destination's requests: body, content type, form, second signature.

use domain::{
    registry::{
        Body, CompatibilitySignature, ContentType, Encoding, Form, Hash, Lists, Method, Nesting, Refusal, SignedContent,
    },
    text::quoted,
};

use super::fields::invalid;
use crate::primitives::{non_empty, or_empty};

/// The presets, in the order in which messages list them.
const PRESETS: [(&str, Body); 5] = [
    ("payload", Body::Payload),
    ("envelope", Body::Envelope),
    ("slack", Body::Slack),
    ("form", Body::Form),
    ("multipart", Body::Multipart),
];

pub(super) fn method(given: &str) -> Result<Method, Refusal> {
    let words = Method::ALL.map(Method::as_str).join(", ");
    match given {
        "" => Ok(Method::default()),
        word => Method::parse(word).ok_or_else(|| invalid("method", format!("{} is not one of {words}", quoted(word)))),
    }
}

pub(super) fn body(given: Option<crate::destination::Body>) -> Result<Body, Refusal> {
    use crate::destination::Body as Given;
    let name = match given {
        None => return Ok(Body::Payload),
        Some(Given::BodyTemplate(text)) => return Ok(Body::Template(text)),
        Some(Given::BodyPreset(name)) if name.is_empty() => return Ok(Body::Payload),
        Some(Given::BodyPreset(name)) => name,
    };
    let found = PRESETS.into_iter().find(|(preset, _)| *preset == name);
    found.map(|(_, body)| body).ok_or_else(|| {
        let known = PRESETS.map(|(preset, _)| preset).join(", ");
        invalid("body_preset", format!("{} is not one of {known}", quoted(&name)))
    })
}

pub(super) fn body_to_api(body: &Body) -> crate::destination::Body {
    use crate::destination::Body as Shown;
    if let Body::Template(text) = body {
        return Shown::BodyTemplate(text.clone());
    }
    let preset = PRESETS.into_iter().find(|(_, preset)| preset == body);
    Shown::BodyPreset(preset.map_or("payload", |(name, _)| name).to_owned())
}

pub(super) fn content_type(given: &str) -> Result<Option<ContentType>, Refusal> {
    non_empty(given)
        .map(|text| ContentType::parse(text).map_err(|problem| invalid("content_type", problem)))
        .transpose()
}

pub(super) fn form(given: Option<crate::Form>) -> Result<Form, Refusal> {
    let Some(given) = given else { return Ok(Form::default()) };
    let unknown = |field, word: &str, known: String| invalid(field, format!("{} is not one of {known}", quoted(word)));
    Ok(Form {
        nesting: Nesting::parse(&given.nesting)
            .ok_or_else(|| unknown("form.nesting", &given.nesting, Nesting::ALL.map(Nesting::as_str).join(", ")))?,
        lists: Lists::parse(&given.lists)
            .ok_or_else(|| unknown("form.lists", &given.lists, Lists::ALL.map(Lists::as_str).join(", ")))?,
        fields: given.fields.into_iter().map(|field| (field.path, field.name)).collect(),
        only_fields: given.only_fields,
        constants: given.constants.into_iter().map(|constant| (constant.name, constant.value)).collect(),
    })
}

pub(super) fn form_to_api(form: &Form) -> Option<crate::Form> {
    let field = |(path, name): &(String, String)| crate::FormField { path: path.clone(), name: name.clone() };
    let constant = |(name, value): &(String, String)| crate::FormConstant { name: name.clone(), value: value.clone() };
    (*form != Form::default()).then(|| crate::Form {
        nesting: form.nesting.as_str().to_owned(),
        lists: form.lists.as_str().to_owned(),
        fields: form.fields.iter().map(field).collect(),
        only_fields: form.only_fields,
        constants: form.constants.iter().map(constant).collect(),
    })
}

pub(super) fn compatibility(
    given: Option<crate::CompatibilitySignature>,
) -> Result<Option<CompatibilitySignature>, Refusal> {
    const FIELD: &str = "compatibility_signature";
    let Some(given) = given else { return Ok(None) };
    let unknown =
        |name, word: &str, known: String| invalid(FIELD, format!("{name} {} is not one of {known}", quoted(word)));
    Ok(Some(CompatibilitySignature {
        header: given.header.to_ascii_lowercase(),
        hash: Hash::parse(&given.algorithm)
            .ok_or_else(|| unknown("algorithm", &given.algorithm, Hash::ALL.map(Hash::as_str).join(", ")))?,
        encoding: Encoding::parse(&given.encoding)
            .ok_or_else(|| unknown("encoding", &given.encoding, Encoding::ALL.map(Encoding::as_str).join(", ")))?,
        prefix: given.prefix,
        content: SignedContent::parse(&given.content, &given.timestamp_header.to_ascii_lowercase())
            .map_err(|problem| invalid(FIELD, problem))?,
    }))
}

pub(super) fn compatibility_to_api(signature: &CompatibilitySignature) -> crate::CompatibilitySignature {
    crate::CompatibilitySignature {
        header: signature.header.clone(),
        algorithm: signature.hash.as_str().to_owned(),
        encoding: signature.encoding.as_str().to_owned(),
        prefix: signature.prefix.clone(),
        content: signature.content.as_str().to_owned(),
        timestamp_header: or_empty(signature.content.timestamp_header()),
    }
}
