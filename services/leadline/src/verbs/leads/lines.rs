//! Counts the lines of a CSV file that arrives in pieces. A line break within quotes ends no line (RFC 4180).

/// The number of complete lines, and whether the text so far ends within quotes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) ended: u64,
    is_quoted: bool,
}

impl Lines {
    pub(super) fn count(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                b'"' => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => self.ended += 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_within_quotes_ends_no_line() {
        let mut lines = Lines::default();
        for piece in ["lead,answer\r\n", "ada,\"first\nsec", "ond \"\"line\"\"\"\r\n", "grace,\r\n"] {
            lines.count(piece.as_bytes());
        }
        assert_eq!(lines.ended, 3);
    }
}
