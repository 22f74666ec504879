//! The page `/runbook`: docs/runbook.md, to which the alerts of deploy/prometheus/alerts.yml link. The anchor of a
//! chapter is its title in lower case, as on sites that show Markdown files. The page needs no API key.

use std::sync::LazyLock;

use axum::Router;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

use crate::page::page;

const RUNBOOK: &str = include_str!("../../../docs/runbook.md");

static PAGE: LazyLock<String> = LazyLock::new(|| written(RUNBOOK));

pub(crate) fn routes() -> Router {
    Router::new().route("/runbook", page("text/html; charset=utf-8", PAGE.as_str()))
}

/// A Markdown text as a page with a list of its chapters.
fn written(markdown: &str) -> String {
    let mut parts = markdown.split("\n## ");
    // Without the first line, which is the title: the page has its own.
    let introduction = parts.next().and_then(|part| part.split_once('\n')).map(|(_, text)| to_html(text));
    let introduction = introduction.unwrap_or_default();
    let (mut chapters, mut links) = (String::new(), String::new());
    for chapter in parts {
        let (title, text) = chapter.split_once('\n').unwrap_or((chapter, ""));
        let anchor = title.to_lowercase();
        links += &format!("<a href=\"#{anchor}\">{title}</a>\n");
        chapters += &format!("<section id=\"{anchor}\"><h2>{title}</h2>\n{}</section>\n", to_html(text));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Leadline runbook</title>\n\
         <link rel=\"stylesheet\" href=\"/docs/docs.css\">\n</head>\n<body>\n<header><h1>Leadline runbook</h1></header>\n\
         <nav aria-label=\"Chapters\">{links}</nav>\n<main>{introduction}{chapters}</main>\n</body>\n</html>\n"
    )
}

/// The HTML of a Markdown text. Links to other files of the repository become plain text, as they are not served.
fn to_html(markdown: &str) -> String {
    let (mut html, mut is_dropped) = (String::new(), false);
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).filter(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => {
            is_dropped = !dest_url.starts_with("https://");
            !is_dropped
        }
        Event::End(TagEnd::Link) => !is_dropped,
        _ => true,
    });
    html::push_html(&mut html, events);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_have_anchors_and_their_text_is_shown() {
        let text =
            "# Title\n\nSee [alerts](../alerts.yml) & [x](https://x.example).\n\n## LeadlineOne\n**Do:** `a < b`\n";
        let page = written(text);
        assert!(page.contains("<a href=\"#leadlineone\">LeadlineOne</a>"), "{page}");
        assert!(page.contains("<section id=\"leadlineone\"><h2>LeadlineOne</h2>"), "{page}");
        assert!(page.contains("See alerts &amp; <a href=\"https://x.example\">x</a>."), "{page}");
        assert!(page.contains("<strong>Do:</strong> <code>a &lt; b</code>"), "{page}");
    }

    #[test]
    fn every_chapter_and_the_table_of_the_drill_are_shown() {
        let chapters = RUNBOOK.matches("\n## ").count();
        assert_eq!(PAGE.matches("<section id=").count(), chapters);
        assert!(PAGE.contains("<table>") && !PAGE.contains("**") && !PAGE.contains(".md)"));
    }
}
