//! XML: escapes values, and checks that a document is well-formed (XML 1.0).

use std::{borrow::Cow, fmt::Display};

use quick_xml::{
    Reader,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesStart, Event},
};

/// Why a document is not well-formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, before byte {byte}")]
pub struct NoXml {
    /// `Cow::Owned` if the problem quotes the document.
    problem: Cow<'static, str>,
    byte: u64,
}

impl NoXml {
    fn quoting(problem: impl Display) -> Cow<'static, str> {
        problem.to_string().chars().take(MAX_PROBLEM).collect::<String>().into()
    }

    /// The same error without quotations from the document.
    pub(crate) fn without_quotes(self) -> Self {
        match self.problem {
            Cow::Owned(_) => Self { problem: "it is not well-formed".into(), ..self },
            Cow::Borrowed(_) => self,
        }
    }
}

/// The maximum number of characters of the parser's message that are shown, because names of elements may be long.
const MAX_PROBLEM: usize = 300;

/// Escapes a text for an element or a quoted attribute. Characters that XML does not allow become U+FFFD (XML 1.0,
/// 2.2).
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // Without the escape, a parser would read a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// Checks that a text is one well-formed element with an optional prolog. Repeated attributes are not detected, because
/// comparing all pairs would take too long.
///
/// # Errors
/// When it is not well-formed; the error says where.
pub(crate) fn check(text: &str) -> Result<(), NoXml> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let (mut depth, mut elements, mut has_doctype) = (0_usize, 0_usize, false);
    loop {
        let event = reader
            .read_event()
            .map_err(|error| NoXml { problem: NoXml::quoting(error), byte: reader.error_position() })?;
        let problem = match &event {
            Event::Start(start) => {
                elements += usize::from(depth == 0);
                depth += 1;
                attributes(start, has_doctype).err()
            }
            Event::Empty(start) => {
                elements += usize::from(depth == 0);
                attributes(start, has_doctype).err()
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                None
            }
            Event::Text(text) if depth == 0 && !text.trim().is_empty() => Some("a text outside of an element".into()),
            Event::CData(_) if depth == 0 => Some("a text outside of an element".into()),
            Event::GeneralRef(_) if depth == 0 => Some("a text outside of an element".into()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(_)) => None,
                Ok(None) if has_doctype || resolve_predefined_entity(reference).is_some() => None,
                Ok(None) => {
                    Some(NoXml::quoting(format!("&{}; is not one of the references that XML defines", &**reference)))
                }
                Err(error) => Some(NoXml::quoting(error)),
            },
            Event::DocType(_) => {
                has_doctype = true;
                None
            }
            Event::Eof if depth > 0 => Some("an element without its end".into()),
            Event::Eof if elements == 0 => Some("no element".into()),
            Event::Eof => return Ok(()),
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
        };
        let problem = problem.or_else(|| (elements > 1).then_some("more than one outermost element".into()));
        if let Some(problem) = problem {
            return Err(NoXml { problem, byte: reader.buffer_position() });
        }
    }
}

fn attributes(start: &BytesStart<'_>, has_doctype: bool) -> Result<(), Cow<'static, str>> {
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(NoXml::quoting)?;
        if attribute.value.contains('<') {
            return Err("< in an attribute".into());
        }
        if !has_doctype {
            unescape(&attribute.value).map_err(NoXml::quoting)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_documents_are_accepted() {
        for text in [
            "<a/>",
            "<?xml version=\"1.0\"?>\n<!-- a lead -->\n<a b='1' c=\"&lt;2&#x20;\">x &amp; y<b/></a>\n",
            // The prolog of the example in ADF 1.0.
            "<?ADF VERSION \"1.0\"?>\n<?XML VERSION \"1.0\"?>\n<adf><prospect/></adf>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a b=\"&x;\">&x;</a>",
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body/></s:Envelope>",
            "<a><![CDATA[ <b> & ]]></a>",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn malformed_documents_are_refused() {
        for text in [
            "",
            "  ",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>text",
            "<a>&nbsp;</a>",
            "<a>&</a>",
            "<a>& b</a>",
            "<a b=1/>",
            "<a b=\"&x;\"/>",
            "<a b=\"<\"/>",
            "<a b/>",
            "<!-- a -- b --><a/>",
            "<a><![CDATA[x</a>",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let long = check(&format!("<{}>", "a".repeat(100_000))).unwrap_err().to_string();
        assert!(long.len() < 400, "{}", long.len());
    }

    #[test]
    fn words_of_the_document_can_be_left_out() {
        for text in ["<Marker></b>", "<a>&Marker;</a>", "<a b=\"&Marker;\"/>"] {
            let wrong = check(text).unwrap_err();
            assert!(wrong.to_string().contains("Marker"), "{wrong}");
            let shown = wrong.without_quotes().to_string();
            assert!(!shown.contains("Marker") && shown.contains("before byte"), "{shown}");
        }
        assert_eq!(check("<a>").unwrap_err().without_quotes(), check("<a>").unwrap_err());
    }

    #[test]
    fn a_value_cannot_leave_its_place() {
        for evil in ["</a><b>", "\" c=\"", "' c='", "]]>", "&x;", "--><!--", "\0\u{1}\u{ffff}\r\n"] {
            let text = format!("<a b=\"{0}\" c='{0}'>{0}</a>", escaped(evil));
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        assert_eq!(escaped("a\r\n\tb\0"), "a&#13;\n\tb\u{fffd}");
    }
}
