//! Comma-separated values (RFC 4180): what has to be quoted is quoted, lines end with CRLF.
//!
//! What a receiver answered comes from strangers, and a spreadsheet takes a cell that begins with `=` for a formula. Such
//! a cell gets an apostrophe before it, which spreadsheets do not show.

/// What makes a spreadsheet take a cell for a formula when it comes first.
const DANGEROUS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Adds a line of these cells.
pub(crate) fn line<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        add(text, cell);
    }
    text.push_str("\r\n");
}

fn add(text: &mut String, cell: &str) {
    let apostrophe = if cell.starts_with(DANGEROUS) { "'" } else { "" };
    if cell.contains(['"', ',', '\r', '\n']) {
        text.push('"');
        text.push_str(apostrophe);
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(apostrophe);
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(given: &str) -> String {
        let mut text = String::new();
        line(&mut text, ["a", given]);
        text.strip_prefix("a,").unwrap().strip_suffix("\r\n").unwrap().to_owned()
    }

    #[test]
    fn what_has_to_be_quoted_is_quoted() {
        assert_eq!(cell("plain text; ä"), "plain text; ä");
        assert_eq!(cell(""), "");
        assert_eq!(cell("one, two"), "\"one, two\"");
        assert_eq!(cell("say \"yes\""), "\"say \"\"yes\"\"\"");
        assert_eq!(cell("two\r\nlines"), "\"two\r\nlines\"");
    }

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
        for dangerous in ["+1", "-1", "@x", "\tx"] {
            assert_eq!(cell(dangerous), format!("'{dangerous}"));
        }
        for dangerous in ["\r=1", "\n=1"] {
            assert_eq!(cell(dangerous), format!("\"'{dangerous}\""));
        }
        assert_eq!(cell("1-1"), "1-1");
    }
}
