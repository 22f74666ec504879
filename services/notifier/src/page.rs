//! The content of a mail, rendered as text and as HTML. Parts of it come from leads and receivers, which are not
//! trusted: in HTML every character that could be markup is escaped.

use std::fmt::Write as _;

/// The column of values in text.
const VALUE_COLUMN: usize = 18;

/// The content of a mail or of the page behind a link.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    /// A paragraph.
    Text(String),
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
    /// The advice to the reader.
    Advice(String),
    /// Lines below a headline.
    List(&'static str, Vec<String>),
    /// Text that keeps its lines and spaces.
    Verbatim(String),
    /// Words that lead to a command line.
    Command(&'static str, String),
    /// Words that lead to a URL.
    Link(String, String),
    /// A button that posts to the page itself; text shows none.
    Confirm(&'static str),
    /// A button that posts to a relative path; text shows none.
    ConfirmAt(&'static str, String),
}

impl Page {
    pub(crate) fn text(&self) -> String {
        let parts = self.blocks.iter().map(Block::text);
        let parts: Vec<_> = std::iter::once(format!("{}\n", self.title)).chain(parts).collect();
        parts.join("\n")
    }

    pub(crate) fn html(&self, brand: &str) -> String {
        let (brand, title) = (escaped(brand), escaped(&self.title));
        let body: String = self.blocks.iter().map(Block::html).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body style=\"margin:0;padding:24px;background:#f4f5f7;font-family:sans-serif;color:#1c2430\">\n\
             <div style=\"max-width:640px;margin:0 auto;padding:24px;background:#fff;border-radius:8px\">\n\
             <p style=\"margin:0;color:#66707f\">{brand}</p>\n<h1 style=\"font-size:20px\">{title}</h1>\n{body}\
             </div>\n</body></html>\n"
        )
    }
}

impl Block {
    fn text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Text(words) => text = format!("{words}\n"),
            Self::Advice(words) => text = format!("What to do: {words}\n"),
            Self::Verbatim(words) => text = format!("{words}\n"),
            Self::Command(words, command) => text = format!("{words}:\n    {command}\n"),
            Self::Link(words, url) => text = format!("{words}: {url}\n"),
            Self::Confirm(_) | Self::ConfirmAt(..) => {}
            Self::Facts(facts) => {
                for (name, value) in facts {
                    let value = value.replace('\n', &format!("\n{:VALUE_COLUMN$}", ""));
                    // Writing to a string cannot fail.
                    let _ = writeln!(text, "{:<VALUE_COLUMN$}{value}", format!("{name}:"));
                }
            }
            Self::List(headline, lines) => {
                let _ = writeln!(text, "{headline}:");
                for line in lines {
                    let _ = writeln!(text, "* {line}");
                }
            }
        }
        text
    }

    fn html(&self) -> String {
        match self {
            Self::Text(words) => format!("<p>{}</p>\n", escaped(words)),
            Self::Advice(words) => {
                let style = "padding:12px;background:#fff6e0;border-left:4px solid #e0a000";
                format!("<p style=\"{style}\"><strong>What to do:</strong> {}</p>\n", escaped(words))
            }
            Self::Verbatim(words) => {
                format!("<pre style=\"white-space:pre-wrap;word-break:break-word\">{}</pre>\n", escaped(words))
            }
            Self::Command(words, command) => {
                let (words, command) = (escaped(words), escaped(command));
                format!("<p>{words}:</p>\n<pre style=\"white-space:pre-wrap\">{command}</pre>\n")
            }
            Self::Link(words, url) => {
                let style = "font-size:13px;color:#66707f";
                format!("<p style=\"{style}\"><a href=\"{}\">{}</a></p>\n", escaped(url), escaped(words))
            }
            Self::Confirm(words) => {
                format!("<form method=\"post\"><button type=\"submit\">{}</button></form>\n", escaped(words))
            }
            Self::ConfirmAt(words, path) => {
                let (words, path) = (escaped(words), escaped(path));
                format!("<form method=\"post\" action=\"{path}\"><button type=\"submit\">{words}</button></form>\n")
            }
            Self::Facts(facts) => {
                let row = |(name, value): &(&str, String)| {
                    let value = escaped(value).replace('\n', "<br>");
                    let style =
                        "text-align:left;vertical-align:top;padding:2px 12px 2px 0;font-weight:normal;color:#66707f";
                    format!("<tr><th style=\"{style}\">{}</th><td>{value}</td></tr>\n", escaped(name))
                };
                format!("<table>\n{}</table>\n", facts.iter().map(row).collect::<String>())
            }
            Self::List(headline, lines) => {
                let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
                format!("<p>{}:</p>\n<ul>\n{lines}</ul>\n", escaped(headline))
            }
        }
    }
}

fn escaped(text: &str) -> String {
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
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_is_no_markup_wherever_it_stands() {
        let evil = "<script>alert('x')</script>\"&".to_owned();
        let page = Page {
            title: evil.clone(),
            blocks: vec![
                Block::Text(evil.clone()),
                Block::Facts(vec![("Lead", evil.clone())]),
                Block::Advice(evil.clone()),
                Block::List("Examples", vec![evil.clone()]),
                Block::Verbatim(evil.clone()),
                Block::Command("Run", evil.clone()),
                Block::Link(evil.clone(), format!("https://{evil}")),
            ],
        };
        let html = page.html(&evil);
        assert!(!html.contains("<script") && !html.contains("('x')"), "{html}");
        let safe = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;";
        assert_eq!(html.matches(safe).count(), 11, "{html}");
        assert_eq!(page.text().matches(&evil).count(), 9);
    }
}
