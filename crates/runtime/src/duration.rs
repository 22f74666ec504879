//! Durations as people write them: `250ms`, `5s`, `2h 30m`, `90d`. A day has 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Parses a duration; for use as a value parser of the command line.
///
/// # Errors
/// If the text is not a duration, or the duration is negative.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refuse = |why: String| format!("{text:?} is not a duration such as 250ms, 5s, 2h or 7d: {why}");
    let span: Span = text.parse().map_err(|e: jiff::Error| refuse(e.to_string()))?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|e| refuse(e.to_string()))?;
    Duration::try_from(signed).map_err(|_| refuse("it is negative".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_their_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("2h 30m"), Ok(Duration::from_secs(9_000)));
        assert_eq!(parse("90d"), Ok(Duration::from_secs(90 * 24 * 60 * 60)));
        for rubbish in ["", "5", "-5s", "soon", "1y", "1mo"] {
            assert!(parse(rubbish).is_err(), "{rubbish:?}");
        }
    }
}
