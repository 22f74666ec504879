//! Tables for people: at most as wide as a terminal usually is. Texts that people may want to copy are never cut.

use crate::out::{Out, print};

/// The maximum width of a table, in characters.
pub(crate) const WIDEST: usize = 120;
const GAP: &str = "  ";
/// The minimum width of a column that is cut.
const MIN_WIDTH: usize = 8;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// Whether longer texts are cut.
    flexible: bool,
    least: usize,
}

/// A column whose texts are shown in full, such as ids.
pub(crate) const fn fixed(title: &'static str) -> Column {
    Column { title, flexible: false, least: 0 }
}

/// A column whose texts may be cut.
pub(crate) const fn flexible(title: &'static str) -> Column {
    Column { title, flexible: true, least: 0 }
}

impl Column {
    /// Sets a minimum width, for tables whose rows arrive one by one.
    pub(crate) const fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
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
                let widths = self.fitting(&rows);
                let titles: Vec<Cell> = self.columns.iter().map(|column| column.title.into()).collect();
                print(&self.line(&widths, &titles, false))?;
                widths
            }
        };
        for row in &rows {
            print(&self.line(&widths, row, out.has_colours()))?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// The widths of the columns: those of their texts, cut as little as the table needs to fit.
    fn fitting(&self, rows: &[Vec<Cell>]) -> Vec<usize> {
        let widest = |place: usize| rows.iter().filter_map(|row| row.get(place)).map(|cell| length(&cell.text)).max();
        let natural =
            |(place, column): (usize, &Column)| widest(place).unwrap_or(0).max(column.title.len()).max(column.least);
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(natural).collect();
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > WIDEST {
            let flexible = (0..widths.len()).filter(|place| self.columns[*place].flexible);
            let Some(widest) = flexible.filter(|place| widths[*place] > MIN_WIDTH).max_by_key(|place| widths[*place])
            else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }

    fn line(&self, widths: &[usize], cells: &[Cell], colours: bool) -> String {
        let mut line = String::new();
        for ((column, width), cell) in self.columns.iter().zip(widths).zip(cells) {
            let text = if column.flexible { cut(&cell.text, *width) } else { cell.text.clone() };
            let padding = " ".repeat(width.saturating_sub(length(&text)));
            line.push_str(&painted(&text, if colours { cell.tone } else { Tone::Plain }));
            line.push_str(&padding);
            line.push_str(GAP);
        }
        line.trim_end().to_owned()
    }
}

/// Prints names and values, one below the other, without empty values.
pub(crate) fn print_facts(out: &Out, facts: Vec<(&str, Cell)>) -> anyhow::Result<()> {
    let facts: Vec<_> = facts.iter().map(|(name, cell)| (*name, cleaned(cell))).collect();
    let said = || facts.iter().filter(|(_, cell)| !cell.text.is_empty());
    let width = said().map(|(name, _)| length(name)).max().unwrap_or(0);
    for (name, cell) in said() {
        let tone = if out.has_colours() { cell.tone } else { Tone::Plain };
        print(&format!("{name:<width$}{GAP}{}", painted(&cell.text, tone)))?;
    }
    Ok(())
}

/// Makes a text of a stranger, such as a receiver's answer, one line without control characters for the terminal.
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
    fn a_table_fits_and_what_may_be_copied_is_whole() {
        let table = Table::new([fixed("ID"), flexible("NAME"), flexible("ANSWER")]);
        let id = "0".repeat(36);
        let rows = vec![vec![Cell::from(&id), "short".into(), "long ".repeat(60).into()]];
        let widths = table.fitting(&rows);
        let line = table.line(&widths, &rows[0], false);
        assert_eq!((length(&line), widths[1]), (WIDEST, 5));
        assert!(line.starts_with(&id) && line.ends_with('…'), "{line}");
        assert!(table.line(&widths, &[Cell::toned(id, Tone::Bad)], true).starts_with("\u{1b}[31m0"));
    }

    #[test]
    fn strangers_do_not_write_to_the_terminal() {
        assert_eq!(one_line(" two\r\nlines \u{1b}[31mred\u{7} "), "two  lines \u{fffd}[31mred\u{fffd}");
    }
}
