//! The kinds of templates. The kind decides how values are written, and what the result has to be.

use domain::registry::Format;
use minijinja::{AutoEscape, Environment};
use serde_json::value::RawValue;

use crate::{error::RenderError, write, xml};

/// The kind of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Url,
    /// A JSON body. The following kinds are bodies, too.
    Json,
    Form,
    Xml,
    /// A body of another content type.
    Text,
}

impl Part {
    pub(crate) const fn of_body(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Form => Self::Form,
            Format::Xml => Self::Xml,
            // A multipart body has no template.
            Format::Text | Format::Multipart => Self::Text,
        }
    }

    /// The name of the template in errors.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Url => "URL",
            Self::Json | Self::Form | Self::Xml | Self::Text => "body",
        }
    }

    /// What a value becomes a part of, for errors.
    pub(crate) const fn whole(self) -> &'static str {
        match self {
            Self::Url => "a URL",
            Self::Json => "JSON",
            Self::Form => "a form",
            Self::Xml => "XML",
            Self::Text => "a text",
        }
    }

    /// Whether each value is escaped, without exception.
    pub(crate) const fn is_escaped(self) -> bool {
        matches!(self, Self::Form | Self::Xml)
    }

    /// Whether null can be written. It cannot be written into a URL, because a missing value would lead to another
    /// address.
    pub(crate) const fn accepts_null(self) -> bool {
        !matches!(self, Self::Url)
    }

    pub(crate) fn set_formatter(self, environment: &mut Environment<'static>) {
        match self {
            Self::Url => environment.set_formatter(write::into_url),
            Self::Json => environment.set_formatter(write::into_json),
            Self::Form => environment.set_formatter(write::into_form),
            Self::Xml => environment.set_formatter(write::into_xml),
            Self::Text => environment.set_formatter(write::into_text),
        }
    }

    /// The escaping mode of the engine. If the mode escapes values, the engine marks a captured block as safe, and its
    /// text is not escaped again. [`write::into_json`] writes values as JSON only in the mode `Json`.
    pub(crate) const fn auto_escape(self) -> AutoEscape {
        match self {
            Self::Json => AutoEscape::Json,
            Self::Form | Self::Xml => AutoEscape::Html,
            Self::Url | Self::Text => AutoEscape::None,
        }
    }

    /// Checks that a result is valid for its kind.
    ///
    /// # Errors
    /// When it is not; the error says why.
    pub(crate) fn checked(self, filled: String) -> Result<String, RenderError> {
        match self {
            Self::Json => {
                serde_json::from_str::<&RawValue>(&filled).map_err(RenderError::NoJson)?;
            }
            Self::Form => return form(&filled),
            Self::Xml => xml::check(&filled).map_err(RenderError::NoXml)?,
            Self::Url | Self::Text => {}
        }
        Ok(filled)
    }
}

/// A form on one line. Values are encoded, so all line breaks and indentation come from the template, and are removed.
fn form(filled: &str) -> Result<String, RenderError> {
    let line: String = filled.lines().map(str::trim).collect();
    match line.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(RenderError::NoForm(c)),
        None => Ok(line),
    }
}
