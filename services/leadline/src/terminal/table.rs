//! Tables for people, at most as wide as the terminal. Texts that people may want to copy, such as ids, are never cut.
//! Reasons are wrapped. Without a terminal, as in a pipe, nothing is cut or wrapped.

use crate::terminal::output::{Out, print};

const GAP: &str = "  ";
/// The minimum width of a column that is cut.
const MIN_WIDTH: usize = 8;
/// The minimum width of a column that is wrapped.
const MIN_WRAPPED: usize = 30;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    fit: Fit,
    min: usize,
}

/// How to shorten texts that are longer than the terminal allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Cut,
    Wrap,
}

/// A column whose texts are shown in full, such as ids.
pub(crate) const fn fixed(title: &'static str) -> Column {
    Column { title, fit: Fit::Whole, min: 0 }
}

/// A column whose texts may be cut.
pub(crate) const fn flexible(title: &'static str) -> Column {
    Column { title, fit: Fit::Cut, min: 0 }
}

/// The last column of a table, whose texts continue on further lines, such as reasons.
pub(crate) const fn wrapped(title: &'static str) -> Column {
    Column { title, fit: Fit::Wrap, min: 0 }
}

impl Column {
    /// Sets a minimum width, for tables whose rows arrive one by one.
    pub(crate) const fn at_least(self, min: usize) -> Self {
        Self { min, ..self }
    }
}

/// The meaning of a colour, if the output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Waiting,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text.to_string(), Tone::Plain)
    }
}

/// A table that is printed page by page; the first page sets the widths of its columns.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    widths: Option<Vec<usize>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), widths: None }
    }

    /// Prints rows; the titles come before the first one.
    pub(crate) fn print(&mut self, out: &Out, rows: &[Vec<Cell>]) -> anyhow::Result<()> {
        let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(cleaned).collect()).collect();
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => {
                let widths = self.fitting(&rows, out.width());
                let titles: Vec<Cell> = self.columns.iter().map(|column| column.title.into()).collect();
                print(&self.lines(&widths, &titles, false, out.width()))?;
                widths
            }
        };
        for row in &rows {
            print(&self.lines(&widths, row, out.has_colours(), out.width()))?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// The widths of the columns: those of their texts, reduced until the table fits into `limit`, if there is one.
    fn fitting(&self, rows: &[Vec<Cell>], limit: Option<usize>) -> Vec<usize> {
        let widest = |place: usize| rows.iter().filter_map(|row| row.get(place)).map(|cell| length(&cell.text)).max();
        let natural =
            |(place, column): (usize, &Column)| widest(place).unwrap_or(0).max(column.title.len()).max(column.min);
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(natural).collect();
        let Some(limit) = limit else { return widths };
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > limit {
            let flexible = (0..widths.len()).filter(|place| self.columns[*place].fit != Fit::Whole);
            let min = |place: usize| if self.columns[place].fit == Fit::Wrap { MIN_WRAPPED } else { MIN_WIDTH };
            let Some(widest) = flexible.filter(|place| widths[*place] > min(*place)).max_by_key(|place| widths[*place])
            else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }

    /// The lines of a row. A wrapped text continues on further lines below its column.
    fn lines(&self, widths: &[usize], cells: &[Cell], colours: bool, limit: Option<usize>) -> String {
        let mut line = String::new();
        let mut indent = 0;
        for ((column, width), cell) in self.columns.iter().zip(widths).zip(cells) {
            let tone = if colours { cell.tone } else { Tone::Plain };
            let text = match column.fit {
                Fit::Wrap if limit.is_some() && length(&cell.text) > *width => {
                    let parts = pieces(&cell.text, *width);
                    let parts: Vec<_> = parts.iter().map(|part| painted(part, tone)).collect();
                    line.push_str(&parts.join(&format!("\n{}", " ".repeat(indent))));
                    continue;
                }
                Fit::Cut if limit.is_some() => cut(&cell.text, *width),
                _ => cell.text.clone(),
            };
            line.push_str(&painted(&text, tone));
            line.push_str(&" ".repeat(width.saturating_sub(length(&text))));
            line.push_str(GAP);
            indent += width + GAP.len();
        }
        line.trim_end().to_owned()
    }
}

/// The parts of a text that fit into a width, divided between words if possible.
fn pieces(text: &str, width: usize) -> Vec<String> {
    let (mut parts, mut part) = (vec![], String::new());
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !part.is_empty() && length(&part) + 1 + length(&word) > width {
            parts.push(std::mem::take(&mut part));
        }
        while length(&word) > width {
            let rest = word.chars().skip(width).collect();
            parts.push(word.chars().take(width).collect());
            word = rest;
        }
        if !part.is_empty() {
            part.push(' ');
        }
        part.push_str(&word);
    }
    parts.push(part);
    parts
}

/// Prints names and values, one below the other, without empty values.
pub(crate) fn print_facts(out: &Out, facts: Vec<(&str, Cell)>) -> anyhow::Result<()> {
    let facts: Vec<_> = facts.iter().map(|(name, cell)| (*name, cleaned(cell))).collect();
    let shown = || facts.iter().filter(|(_, cell)| !cell.text.is_empty());
    let width = shown().map(|(name, _)| length(name)).max().unwrap_or(0);
    for (name, cell) in shown() {
        let tone = if out.has_colours() { cell.tone } else { Tone::Plain };
        print(&format!("{name:<width$}{GAP}{}", painted(&cell.text, tone)))?;
    }
    Ok(())
}

/// Turns a text from outside, such as a receiver's answer, into one line without control characters.
fn cleaned(cell: &Cell) -> Cell {
    Cell { text: one_line(&cell.text), tone: cell.tone }
}

pub(crate) fn one_line(text: &str) -> String {
    let words: String = text.trim().chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter }).collect();
    words.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn painted(text: &str, tone: Tone) -> String {
    let colour = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Waiting => 33,
    };
    format!("\u{1b}[{colour}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal_and_never_cuts_ids() {
        let table = Table::new([fixed("ID"), flexible("NAME"), flexible("ANSWER")]);
        let id = "0".repeat(36);
        let rows = vec![vec![Cell::from(&id), "short".into(), "long ".repeat(60).into()]];
        for limit in [80, 120] {
            let widths = table.fitting(&rows, Some(limit));
            let line = table.lines(&widths, &rows[0], false, Some(limit));
            assert_eq!((length(&line), widths[1]), (limit, 5));
            assert!(line.starts_with(&id) && line.ends_with('…'), "{line}");
        }
        let widths = table.fitting(&rows, None);
        let line = table.lines(&widths, &rows[0], false, None);
        assert!(!line.contains('…') && line.ends_with("long long"), "nothing is cut without a terminal: {line}");
        assert!(table.lines(&widths, &[Cell::toned(id, Tone::Bad)], true, None).starts_with("\u{1b}[31m0"));
    }

    #[test]
    fn a_long_reason_is_wrapped_below_itself() {
        let table = Table::new([fixed("AT"), wrapped("REASON")]);
        let reason = format!("{}{}", "why ".repeat(30), "x".repeat(100));
        let rows = vec![vec![Cell::from("14:00"), Cell::from(reason.as_str())]];
        let text = table.lines(&table.fitting(&rows, Some(60)), &rows[0], false, Some(60));
        assert!(text.lines().count() > 3 && text.lines().all(|line| length(line) <= 60), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("       ")), "{text}");
        let whole = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
        assert_eq!(whole(&text), whole(&format!("14:00{reason}")));
        let in_a_pipe = table.lines(&table.fitting(&rows, None), &rows[0], false, None);
        assert_eq!(in_a_pipe.lines().count(), 1);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(one_line(" two\r\nlines \u{1b}[31mred\u{7} "), "two  lines \u{fffd}[31mred\u{fffd}");
    }
}
