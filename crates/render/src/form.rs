//! Forms: the fields of a payload as `application/x-www-form-urlencoded` (WHATWG URL, 5) or `multipart/form-data` (RFC
//! 7578).
//!
//! Payloads are untrusted. Their fields cannot replace a constant, even if the receiver treats similar names as equal.

use std::collections::HashMap;

use bytes::Bytes;
use domain::registry::{Form, Lists, Nesting};

use crate::{
    error::{LARGEST, RenderError},
    values::Input,
    write::percent_encoded,
};
use domain::json::{Json, parse};

pub(crate) fn urlencoded(form: &Form, input: &Input<'_>) -> Result<Bytes, RenderError> {
    let mut body = String::new();
    for (name, value) in fields(form, input)? {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(&percent_encoded(&name));
        body.push('=');
        body.push_str(&percent_encoded(&value));
        if body.len() > LARGEST {
            return Err(RenderError::LargeForm);
        }
    }
    Ok(body.into())
}

/// The body and its boundary. Both are the same in each attempt.
pub(crate) fn multipart(form: &Form, input: &Input<'_>) -> Result<(Bytes, String), RenderError> {
    let fields = fields(form, input)?;
    let mut boundary = format!("leadline-{}", input.reference.delivery);
    while fields.iter().any(|(name, value)| name.contains(&boundary) || value.contains(&boundary)) {
        boundary.push('-');
    }
    let mut body = String::new();
    for (name, value) in fields {
        // These are the escapes that browsers write (WHATWG HTML, 4.10.21.8). Servers understand no others.
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        body.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
        if body.len() > LARGEST {
            return Err(RenderError::LargeForm);
        }
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    Ok((body.into(), boundary))
}

fn fields(form: &Form, input: &Input<'_>) -> Result<Vec<(String, String)>, RenderError> {
    let payload = parse(input.payload)?;
    if !matches!(payload, Json::Object(_)) {
        return Err(RenderError::NoFields);
    }
    let reserved = form.constants.iter().map(|(name, _)| as_receivers_read(name)).collect();
    let renamed = form.fields.iter().map(|(path, name)| (path.as_str(), name.as_str())).collect();
    let (made, path, name) = (form.constants.clone(), String::new(), String::new());
    let mut fields = Fields { form, reserved, renamed, made, bytes: 0, path, name };
    fields.add(&payload, !form.only_fields)?;
    Ok(fields.made)
}

/// A walk through a payload. Path and name are buffers that grow and shrink, and only the names of sent fields are
/// copied. So the time of the walk depends only on the size of the payload, not on its depth and the length of its
/// names.
struct Fields<'a> {
    form: &'a Form,
    reserved: Vec<String>,
    renamed: HashMap<&'a str, &'a str>,
    made: Vec<(String, String)>,
    bytes: usize,
    /// The path of the current field, with dots.
    path: String,
    /// The name of the current field.
    name: String,
}

impl Fields<'_> {
    fn add(&mut self, value: &Json, is_sent: bool) -> Result<(), RenderError> {
        let text = match value {
            Json::Object(inner) => {
                let nesting = self.form.nesting;
                return inner
                    .iter()
                    .try_for_each(|(key, value)| self.add_inner(key, value, is_sent, |name| nest(name, key, nesting)));
            }
            Json::Array(items) => {
                let (nesting, lists) = (self.form.nesting, self.form.lists);
                return items.iter().enumerate().try_for_each(|(index, value)| {
                    let index = index.to_string();
                    self.add_inner(&index, value, is_sent, |name| match lists {
                        Lists::Repeat => {}
                        Lists::Brackets => name.push_str("[]"),
                        Lists::Indices => nest(name, &index, nesting),
                    })
                });
            }
            Json::Text(text) | Json::Number(text) => text.as_str(),
            Json::Bool(true) => "true",
            Json::Bool(false) => "false",
            Json::Null => "",
        };
        if is_sent {
            self.bytes = self.bytes.saturating_add(self.name.len() + text.len());
            if self.bytes > LARGEST {
                return Err(RenderError::LargeForm);
            }
            if !self.reserved.contains(&as_receivers_read(&self.name)) {
                self.made.push((self.name.clone(), text.to_owned()));
            }
        }
        Ok(())
    }

    /// Adds the fields one level below.
    fn add_inner(
        &mut self,
        key: &str,
        value: &Json,
        is_sent: bool,
        extend: impl FnOnce(&mut String),
    ) -> Result<(), RenderError> {
        let path_before = self.path.len();
        if path_before > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        // No path in the settings of a form is longer than this.
        let renamed =
            (self.path.len() <= Form::MAX_NAME).then(|| self.renamed.get(self.path.as_str()).copied()).flatten();
        let added = match renamed {
            Some(name) => {
                let outer = std::mem::replace(&mut self.name, name.to_owned());
                let added = self.add(value, !name.is_empty());
                self.name = outer;
                added
            }
            None => {
                let name_before = self.name.len();
                extend(&mut self.name);
                let added = self.add(value, is_sent);
                self.name.truncate(name_before);
                added
            }
        };
        self.path.truncate(path_before);
        added
    }
}

fn nest(name: &mut String, key: &str, nesting: Nesting) {
    match nesting {
        _ if name.is_empty() => name.push_str(key),
        Nesting::Brackets => name.extend(["[", key, "]"]),
        Nesting::Dots => name.extend([".", key]),
    }
}

/// A name as the most tolerant receiver may read it: without surrounding blanks, without control characters, in lower
/// case, and with PHP's underscores. If two names are then equal, a receiver may treat them as the same field.
fn as_receivers_read(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_control()).collect();
    plain.trim().to_lowercase().replace(['.', ' ', '['], "_").replace(']', "")
}
