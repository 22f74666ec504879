//! Composes mails: the template of a mail describes a [`Content`] by calls: `mail.title("…")`,
//! `mail.fact("Lead", lead)`, `mail.advice("…")`. Its other output is ignored.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Object, from_args},
};

use crate::writing::{
    body::{Block, Content},
    engine::render,
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writing::engine::environment;

    #[test]
    fn a_missing_value_is_an_error() {
        for name in ["failure.jinja", "body.html.jinja", "footer.jinja"] {
            let mail = Value::from_object(Mail(Mutex::new(Content::default())));
            let rendered = environment().unwrap().get_template(name).unwrap().render(minijinja::context! { mail });
            assert_eq!(rendered.unwrap_err().kind(), ErrorKind::UndefinedError, "{name}");
        }
    }
}
