//! The options for the content of requests: content type, form, and compatibility signature.

use clap::Args;

use crate::terminal::errors::usage;

/// The options for the content of requests.
#[derive(Debug, Args)]
pub(super) struct Content {
    /// Content type of the body, such as application/vnd.api+json or text/xml; '' restores the default of the body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Name of a payload field in a form, such as person.email=email; 'PATH=' leaves the field out. May be given
    /// several times. The given form options replace the whole form
    #[arg(long = "form-field", value_name = "PATH=NAME", value_parser = pair, help_heading = FORM)]
    fields: Vec<(String, String)>,
    /// Constant field of every form, such as oid=00D…; may be given several times
    #[arg(long = "form-constant", value_name = "NAME=VALUE", value_parser = pair, help_heading = FORM)]
    constants: Vec<(String, String)>,
    /// Send only the fields that --form-field names, and the constants
    #[arg(long, help_heading = FORM)]
    form_only_fields: bool,
    /// How nested fields are named: brackets (`a[b]`) or dots (`a.b`)
    #[arg(long, value_name = "NAME", help_heading = FORM)]
    form_nesting: Option<String>,
    /// How items of lists are named: repeat (`a=1&a=2`), brackets (`a[]=1`) or indices (`a[0]=1`)
    #[arg(long, value_name = "NAME", help_heading = FORM)]
    form_lists: Option<String>,
    /// Header of a second signature in another sender's format, beside that of Standard Webhooks; '' removes it. The
    /// given signature options replace the whole signature
    #[arg(long, value_name = "HEADER", help_heading = SIGNATURE)]
    signature_header: Option<String>,
    /// Algorithm: hmac-sha256, hmac-sha1 or hmac-sha512
    #[arg(long, value_name = "NAME", requires = "signature_header", help_heading = SIGNATURE)]
    signature_algorithm: Option<String>,
    /// Encoding: hex or base64
    #[arg(long, value_name = "NAME", requires = "signature_header", help_heading = SIGNATURE)]
    signature_encoding: Option<String>,
    /// Text before the signature, such as sha256=
    #[arg(long, value_name = "TEXT", requires = "signature_header", help_heading = SIGNATURE)]
    signature_prefix: Option<String>,
    /// Signed content: body or timestamp.body
    #[arg(long, value_name = "NAME", requires = "signature_header", help_heading = SIGNATURE)]
    signature_content: Option<String>,
    /// Header of the timestamp; without it the signature is t=TIMESTAMP,v1=SIGNATURE
    #[arg(long, value_name = "HEADER", requires = "signature_header", help_heading = SIGNATURE)]
    signature_timestamp_header: Option<String>,
}

const FORM: &str = "Form";
const SIGNATURE: &str = "Compatibility signature";

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("has no '='")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Content {
    /// Writes the given options into a destination, and returns the names of the fields.
    pub(super) fn apply(&self, destination: &mut api::Destination) -> anyhow::Result<Vec<&'static str>> {
        let mut names = vec![];
        if let Some(content_type) = &self.content_type {
            destination.content_type.clone_from(content_type);
            names.push("content_type");
        }
        if let Some(form) = self.form() {
            destination.form = Some(form);
            names.push("form");
        }
        if let Some(header) = &self.signature_header {
            destination.compatibility_signature = self.signature(header)?;
            names.push("compatibility_signature");
        }
        Ok(names)
    }

    fn form(&self) -> Option<api::Form> {
        let is_given = self.form_only_fields
            || self.form_nesting.is_some()
            || self.form_lists.is_some()
            || !self.fields.is_empty()
            || !self.constants.is_empty();
        let field = |(path, name): &(String, String)| api::FormField { path: path.clone(), name: name.clone() };
        let constant =
            |(name, value): &(String, String)| api::FormConstant { name: name.clone(), value: value.clone() };
        is_given.then(|| api::Form {
            nesting: self.form_nesting.clone().unwrap_or_default(),
            lists: self.form_lists.clone().unwrap_or_default(),
            fields: self.fields.iter().map(field).collect(),
            only_fields: self.form_only_fields,
            constants: self.constants.iter().map(constant).collect(),
        })
    }

    fn signature(&self, header: &str) -> anyhow::Result<Option<api::CompatibilitySignature>> {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        let signature = api::CompatibilitySignature {
            header: header.to_owned(),
            algorithm: text(&self.signature_algorithm),
            encoding: text(&self.signature_encoding),
            prefix: text(&self.signature_prefix),
            content: text(&self.signature_content),
            timestamp_header: text(&self.signature_timestamp_header),
        };
        if !header.is_empty() {
            return Ok(Some(signature));
        }
        if signature != api::CompatibilitySignature::default() {
            return Err(usage(
                "--signature-header '' removes the signature, and other options describe it; give one or the other",
            ));
        }
        Ok(None)
    }
}

/// A form, on one line.
pub(super) fn described(form: &api::Form) -> String {
    let mut parts = vec![format!("nesting {}", form.nesting), format!("lists {}", form.lists)];
    if form.only_fields {
        parts.push("only its fields".to_owned());
    }
    parts.extend(form.fields.iter().map(|field| match field.name.as_str() {
        "" => format!("without {}", field.path),
        name => format!("{} as {name}", field.path),
    }));
    parts.extend(form.constants.iter().map(|constant| format!("{}={}", constant.name, constant.value)));
    parts.join(", ")
}

/// A signature, on one line.
pub(super) fn signature(signature: &api::CompatibilitySignature) -> String {
    let api::CompatibilitySignature { header, algorithm, encoding, prefix, content, timestamp_header } = signature;
    let value = match (content.as_str(), timestamp_header.as_str()) {
        ("timestamp.body", "") => format!("t=…,v1={encoding}"),
        _ => format!("{prefix}{encoding}"),
    };
    let timestamp =
        if timestamp_header.is_empty() { String::new() } else { format!(", {timestamp_header}: timestamp") };
    format!("{header}: {value} of {algorithm} over {content}{timestamp}")
}
