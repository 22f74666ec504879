//! The content of a mail, rendered as text and as HTML. Parts of it come from leads and receivers, which are not
//! trusted: in HTML every character that could be markup is escaped.

use std::borrow::Cow;

use minijinja::{Value, context};

use crate::writing::engine;

/// A text of this program, as opposed to one of a lead or a receiver.
type Words = Cow<'static, str>;

/// The content of a mail or of the page behind a link.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    /// A paragraph.
    Text(String),
    /// Names and values.
    Facts(Vec<(Words, String)>),
    Advice(String),
    /// Lines below a headline.
    List(Words, Vec<String>),
    /// Text that keeps its lines and spaces.
    Verbatim(String),
    /// Words that introduce a command line.
    Command(Words, String),
    /// Words that link to a URL.
    Link(String, String),
    /// A button that posts to the page itself; the text of a mail has none.
    Confirm(&'static str),
    /// A button that posts to a relative path; the text of a mail has none.
    ConfirmAt(&'static str, String),
}

impl Content {
    pub(crate) fn text(&self) -> String {
        engine::render("body.txt.jinja", context! { title => &self.title, blocks => self.values() })
    }

    pub(crate) fn html(&self, brand: &str) -> String {
        engine::render("body.html.jinja", context! { brand, title => &self.title, blocks => self.values() })
    }

    fn values(&self) -> Value {
        self.blocks.iter().map(Value::from).collect()
    }
}

impl From<&Block> for Value {
    fn from(block: &Block) -> Self {
        match block {
            Block::Text(text) => context! { kind => "text", text },
            Block::Advice(text) => context! { kind => "advice", text },
            Block::Verbatim(text) => context! { kind => "verbatim", text },
            Block::Command(words, command) => context! { kind => "command", words => words.as_ref(), command },
            Block::Link(words, url) => context! { kind => "link", words, url },
            Block::Confirm(words) => context! { kind => "button", words => *words, path => () },
            Block::ConfirmAt(words, path) => context! { kind => "button", words => *words, path },
            Block::List(headline, items) => {
                context! { kind => "list", headline => headline.as_ref(), items => items.iter().collect::<Value>() }
            }
            Block::Facts(facts) => {
                let pair = |(name, value): &(Words, String)| [Value::from(name.as_ref()), Value::from(value)];
                let facts: Value = facts.iter().map(|fact| pair(fact).into_iter().collect::<Value>()).collect();
                context! { kind => "facts", facts }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_from_leads_and_receivers_are_never_markup() {
        let evil = "<script>alert('x')</script>\"&".to_owned();
        let page = Content {
            title: evil.clone(),
            blocks: vec![
                Block::Text(evil.clone()),
                Block::Facts(vec![("Lead".into(), evil.clone())]),
                Block::Advice(evil.clone()),
                Block::List("Examples".into(), vec![evil.clone()]),
                Block::Verbatim(evil.clone()),
                Block::Command("Run".into(), evil.clone()),
                Block::Link(evil.clone(), format!("https://{evil}")),
                Block::ConfirmAt("Send", evil.clone()),
            ],
        };
        let html = page.html(&evil);
        assert!(!html.contains("<script") && !html.contains("('x')"), "{html}");
        let safe = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;";
        assert_eq!(html.matches(safe).count(), 12, "{html}");
        assert_eq!(page.text().matches(&evil).count(), 9);
    }
}
