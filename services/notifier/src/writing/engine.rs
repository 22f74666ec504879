//! The templates of mails: `templates/*.jinja`, which are compiled into the program.
//!
//! `body.txt.jinja` and `body.html.jinja` render a page. Only the latter contains markup, and every value that it
//! prints is escaped.

use std::{borrow::Cow, sync::LazyLock};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, syntax::SyntaxConfig};

/// The column at which values begin in a mail as text.
const VALUE_COLUMN: usize = 18;

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/", $name)))),+]
    };
}

/// The templates by their file names.
const TEMPLATES: [(&str, &str); 15] = templates![
    "body.html.jinja",
    "body.txt.jinja",
    "confirmation.jinja",
    "console.jinja",
    "deactivation.jinja",
    "destination_details.jinja",
    "failure.jinja",
    "footer.jinja",
    "further_failures.jinja",
    "further_leads.jinja",
    "lead_details.jinja",
    "new_lead.jinja",
    "recovery.jinja",
    "repeated_failures.jinja",
    "retry_all.jinja",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment().expect("a test compiles them"));

pub(crate) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build()?);
    // A misspelt name is an error, so the test of its template fails.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.ends_with(".html.jinja") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    // The engine's own formatter would also escape slashes.
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::Html if !value.is_safe() => Ok(out.write_str(&escaped(&value.to_string()))?),
        _ => Ok(write!(out, "{value}")?),
    });
    environment
        .add_filter("line_breaks", |value: String| Value::from_safe_string(escaped(&value).replace('\n', "<br>")));
    environment.add_filter("name_column", |name: String| format!("{:<VALUE_COLUMN$}", format!("{name}:")));
    environment.add_filter("value_column", |value: String| value.replace('\n', &format!("\n{:VALUE_COLUMN$}", "")));
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// Renders one of the templates with these values.
pub(crate) fn render(name: &str, values: Value) -> String {
    let template = ENVIRONMENT.get_template(name);
    template.and_then(|template| template.render(values)).expect("a test renders every template")
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_template_and_every_template_compiles() {
        let environment = environment().unwrap();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = files.collect();
        files.sort();
        assert_eq!(files, TEMPLATES.map(|(name, _)| name));
        for name in files {
            assert!(environment.get_template(&name).is_ok(), "{name}");
        }
    }
}
