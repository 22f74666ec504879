//! Comma-separated values (RFC 4180), without formulas.
//!
//! The answers of receivers are not trusted, and a spreadsheet evaluates a cell that begins with `=` as a formula. In
//! some countries, spreadsheets split a file at another separator than the comma. Then cells begin at other places,
//! quotes protect nothing, and a line break within a cell begins a row. So an apostrophe precedes each formula that
//! would begin a cell for any of these separators. Spreadsheets show such a cell as text.

/// The characters that begin a formula. East Asian versions of spreadsheets accept the full-width forms as well.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// The characters that may separate cells: separators, and line ends.
const SEPARATORS: [char; 9] = [',', ';', '\t', '|', '\r', '\n', '\u{85}', '\u{2028}', '\u{2029}'];
/// At the start of a file, this mark makes Excel read the file as UTF-8, not in the encoding of its country.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Text(&'a str),
    /// An id that a spreadsheet must not turn into a number, date or truth value.
    TextId(&'a str),
}

impl Cell<'_> {
    /// The text of the cell, changed so that no spreadsheet reads it as a formula, or a [`Self::TextId`] as a value.
    fn protected(self) -> String {
        let (cell, as_text) = match self {
            Self::Text(cell) => (cell, false),
            Self::TextId(id) => (id, looks_like_a_value(id)),
        };
        let mut text = String::with_capacity(cell.len());
        if as_text || cell.starts_with(['\t', '\r', '\n']) || begins_formula(cell) {
            text.push('\'');
        }
        for (at, c) in cell.char_indices() {
            text.push(c);
            if SEPARATORS.contains(&c) && begins_formula(&cell[at + c.len_utf8()..]) {
                text.push('\'');
            }
        }
        text
    }
}

/// Lines of a table.
#[derive(Debug)]
pub(crate) struct Lines(csv::Writer<Vec<u8>>);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![]))
    }

    /// Adds a line of these cells. Each line has the same number of them.
    pub(crate) fn add<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> Result<(), csv::Error> {
        self.0.write_record(cells.into_iter().map(|cell| cell.protected().into_bytes()))?;
        Ok(self.0.flush()?)
    }

    /// The bytes of the lines so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.get_ref()
    }
}

/// Whether a spreadsheet could evaluate a cell that begins with this text as a formula. The spreadsheet may first
/// remove quotes and blank or invisible characters.
fn begins_formula(text: &str) -> bool {
    let is_passed_over = |c: char| {
        let is_blank = c.is_whitespace() || c.is_control() || c == '\u{feff}' || c == '\u{200b}';
        c == '"' || (is_blank && !SEPARATORS.contains(&c))
    };
    text.trim_start_matches(is_passed_over).starts_with(FORMULA)
}

/// Whether a spreadsheet would turn an id into a number (`0012`, `1e5`), a date (`1-2`, `mar-1`), a time (`12:30`) or a
/// truth value.
fn looks_like_a_value(id: &str) -> bool {
    let lower = id.to_ascii_lowercase();
    let has_digit = lower.bytes().any(|b| b.is_ascii_digit());
    let is_number = lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'e' | b':' | b'-'));
    ["true", "false"].contains(&&*lower) || (has_digit && (is_number || is_date_with_month(&lower)))
}

/// Whether the parts of a text are numbers and one name of a month.
fn is_date_with_month(lower: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let is_month = |part: &str| part.len() >= 3 && MONTHS.iter().any(|month| month.starts_with(part));
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    // This covers "mar-1", "1-mar-26" and "mar1".
    let letters = lower.trim_matches(|c: char| !c.is_ascii_alphabetic());
    let around = lower.split('-').map(|part| part.trim_matches(|c: char| c.is_ascii_digit()));
    is_month(letters) && around.filter(|part| !part.is_empty()).all(|part| part == letters || is_number(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> String {
        let mut lines = Lines::new();
        lines.add(cells).unwrap();
        String::from_utf8(lines.bytes().to_vec()).unwrap()
    }

    fn written(cell: Cell<'_>) -> String {
        let text = text([Cell::Text("a"), cell]);
        text.strip_prefix("a,").unwrap().strip_suffix("\r\n").unwrap().to_owned()
    }

    fn cell(given: &str) -> String {
        written(Cell::Text(given))
    }

    #[test]
    fn special_characters_are_quoted() {
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
        for dangerous in ["+1", "-1", "@x", "\tx", "＝1", "＋1", "－1", "＠x", " =1", "\u{feff}=1"] {
            assert_eq!(cell(dangerous), format!("'{dangerous}"));
        }
        for dangerous in ["\r=1", "\n=1"] {
            assert_eq!(cell(dangerous), format!("\"'{}'{}\"", &dangerous[..1], &dangerous[1..]));
        }
        assert_eq!(cell("1-1"), "1-1");
    }

    #[test]
    fn no_separator_turns_a_part_of_a_cell_into_a_formula() {
        for (given, expected) in [
            ("x;=1+1", "x;'=1+1"),
            ("x\t@SUM(A1)", "x\t'@SUM(A1)"),
            ("x|-1", "x|'-1"),
            ("x,+1", "\"x,'+1\""),
            ("x; =1", "x;' =1"),
            ("x;＝1", "x;'＝1"),
            ("x;\"=1\"", "\"x;'\"\"=1\"\"\""),
            ("x\n=1", "\"x\n'=1\""),
            ("a;b;=1", "a;b;'=1"),
            ("x;y=1", "x;y=1"),
            ("{\"n\":-1}", "\"{\"\"n\"\":-1}\""),
        ] {
            assert_eq!(cell(given), expected, "{given:?}");
        }
    }

    #[test]
    fn an_id_that_looks_like_a_value_stays_text() {
        let values =
            ["0012345678901234", "42", "1e5", "12E03", "1-2", "2026-01-02", "12:30", "mar-1", "1-MAR-26", "TRUE"];
        for id in values {
            assert_eq!(written(Cell::TextId(id)), format!("'{id}"), "{id}");
            assert_eq!(cell(id), id, "{id}");
        }
        for id in ["", "ada", "lead-1", "e", "may", "marvin-1", "0195f3c2-7f7a-7e0b-8a52-d0d9c1f7a001", "true-1"] {
            assert_eq!(written(Cell::TextId(id)), id, "{id}");
        }
        assert_eq!(written(Cell::TextId("-1")), "'-1", "one apostrophe is enough");
    }

    /// The cells as a lenient reader finds them: quotes count at the beginning of a cell only.
    fn split_at(text: &str, separator: char) -> Vec<String> {
        let (mut cells, mut cell, mut quoted, mut chars) = (vec![], String::new(), false, text.chars().peekable());
        let mut is_start = true;
        while let Some(c) = chars.next() {
            match c {
                '"' if is_start => (quoted, is_start) = (true, false),
                '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
                '"' if quoted => quoted = false,
                c if !quoted && (c == separator || c == '\r' || c == '\n') => {
                    cells.push(std::mem::take(&mut cell));
                    is_start = true;
                }
                c => {
                    cell.push(c);
                    is_start = false;
                }
            }
        }
        cells.push(cell);
        cells
    }

    proptest! {
        #[test]
        fn no_reader_finds_a_formula_in_any_cell(
            cells in prop::collection::vec("[=+@;,|\t\r\n\"' a1＝＠-]{0,12}", 1..5),
        ) {
            let text = text(cells.iter().map(|cell| Cell::Text(cell)));
            for separator in [',', ';', '\t', '|'] {
                for cell in split_at(&text, separator) {
                    let shown = cell.trim_start_matches([' ', '"']);
                    prop_assert!(!shown.starts_with(FORMULA), "{:?} in {:?} at {:?}", cell, text, separator);
                }
            }
        }
    }
}
