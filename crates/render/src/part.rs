//! What a template is for: that decides how values are written into it, and what has to come out.

use domain::registry::Format;
use minijinja::{AutoEscape, Environment};
use serde_json::value::RawValue;

use crate::{RenderError, write, xml};

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Url,
    /// A body that is JSON. The others are bodies, too.
    Json,
    Form,
    Xml,
    /// A body of a type that nothing is known about.
    Text,
}

impl Part {
    pub(crate) const fn of_body(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Form => Self::Form,
            Format::Xml => Self::Xml,
            // No template is set for a multipart body.
            Format::Text | Format::Multipart => Self::Text,
        }
    }

    /// What messages call the template.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Url => "URL",
            Self::Json | Self::Form | Self::Xml | Self::Text => "body",
        }
    }

    /// What messages call that which a value becomes a part of.
    pub(crate) const fn whole(self) -> &'static str {
        match self {
            Self::Url => "a URL",
            Self::Json => "JSON",
            Self::Form => "a form",
            Self::Xml => "XML",
            Self::Text => "a text",
        }
    }

    /// Whether each value is escaped, and nothing can keep it from that.
    pub(crate) const fn is_escaped(self) -> bool {
        matches!(self, Self::Form | Self::Xml)
    }

    /// Whether null can be written. A URL that lacks a part leads elsewhere.
    pub(crate) const fn takes_null(self) -> bool {
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

    /// What the engine is told. It matters for captured blocks only: of what is escaped they are safe.
    pub(crate) const fn auto_escape(self) -> AutoEscape {
        match self {
            Self::Json => AutoEscape::Json,
            Self::Form | Self::Xml => AutoEscape::Html,
            Self::Url | Self::Text => AutoEscape::None,
        }
    }

    /// What was filled in, if it is what it has to be.
    ///
    /// # Errors
    /// What is wrong with it.
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

/// A form on one line: values are encoded, so line breaks and what indents a line are the template's.
fn form(filled: &str) -> Result<String, RenderError> {
    let line: String = filled.lines().map(str::trim).collect();
    match line.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(RenderError::NoForm(c)),
        None => Ok(line),
    }
}
