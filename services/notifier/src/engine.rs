//! The templates of mails: `templates/*.jinja`, which the program contains.
//!
//! The template of a mail describes a [`Content`] by calls: `mail.title("…")`, `mail.fact("Lead", lead)`,
//! `mail.advice("…")`. Its other output is ignored. `body.txt.jinja` and `body.html.jinja` render a page. Only
//! the latter contains markup, and every value that it prints is escaped.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    syntax::SyntaxConfig,
    value::{Object, from_args},
};

use crate::body::{Block, Content};

/// The column at which values begin in a mail as text.
const VALUE_COLUMN: usize = 18;

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),+]
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

fn environment() -> Result<Environment<'static>, Error> {
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

/// Adds the title and the blocks that a template describes to a page.
pub(crate) fn compose(page: Content, name: &str, values: Value) -> Content {
    let mail = Arc::new(Mail(Mutex::new(page)));
    let of_mail = Value::from_dyn_object(Arc::clone(&mail));
    render(name, minijinja::context! { mail => of_mail, ..values });
    mail.page().clone()
}

/// The page that a template describes.
#[derive(Debug)]
struct Mail(Mutex<Content>);

impl Mail {
    fn page(&self) -> std::sync::MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for Mail {
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if args.iter().any(Value::is_undefined) {
            return Err(ErrorKind::UndefinedError.into());
        }
        let mut page = self.page();
        match method {
            "title" => (page.title,) = from_args(args)?,
            "text" => page.blocks.push(Block::Text(from_args::<(String,)>(args)?.0)),
            "advice" => page.blocks.push(Block::Advice(from_args::<(String,)>(args)?.0)),
            "verbatim" => page.blocks.push(Block::Verbatim(from_args::<(String,)>(args)?.0)),
            "fact" => {
                let (name, value) = from_args::<(String, String)>(args)?;
                match page.blocks.last_mut() {
                    Some(Block::Facts(facts)) => facts.push((name.into(), value)),
                    _ => page.blocks.push(Block::Facts(vec![(name.into(), value)])),
                }
            }
            "list" => page.blocks.push(Block::List(from_args::<(String,)>(args)?.0.into(), vec![])),
            "item" => match page.blocks.last_mut() {
                Some(Block::List(_, items)) => items.push(from_args::<(String,)>(args)?.0),
                _ => return Err(Error::new(ErrorKind::InvalidOperation, "an item needs a list before it")),
            },
            "command" => {
                let (words, command) = from_args::<(String, String)>(args)?;
                page.blocks.push(Block::Command(words.into(), command));
            }
            "link" => {
                let (words, url) = from_args(args)?;
                page.blocks.push(Block::Link(words, url));
            }
            _ => return Err(ErrorKind::UnknownMethod.into()),
        }
        Ok(Value::from(()))
    }
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

    #[test]
    fn a_missing_value_is_an_error() {
        for name in ["failure.jinja", "body.html.jinja", "footer.jinja"] {
            let mail = Value::from_object(Mail(Mutex::new(Content::default())));
            let rendered = environment().unwrap().get_template(name).unwrap().render(minijinja::context! { mail });
            assert_eq!(rendered.unwrap_err().kind(), ErrorKind::UndefinedError, "{name}");
        }
    }
}
