//! Formats of times on the command line and in tables.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use prost_types::{Duration as ApiDuration, Timestamp as ApiTimestamp};
pub(crate) use runtime::duration::parse as span;

/// Reads a time in the past: how long ago it was (`2h`, `7d`), RFC 3339, or a day.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    moment(text, |now, span| now - span)
}

/// Reads a time in the future: how far away it is, RFC 3339, or a day.
pub(crate) fn future(text: &str) -> Result<Timestamp, String> {
    moment(text, |now, span| now + span)
}

fn moment(text: &str, from_now: impl Fn(Timestamp, jiff::SignedDuration) -> Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(day) = text.parse::<Date>().ok().filter(|_| text.len() == "2026-01-31".len()) {
        return day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|e| e.to_string());
    }
    let unknown = |_| format!("{text:?} is no time such as 2h, 7d, 2026-01-31 (UTC) or 2026-01-31T08:00:00Z");
    let span = span(text).map_err(unknown)?;
    let span = jiff::SignedDuration::try_from(span).ok().filter(|span| span.as_hours() < MAX_HOURS);
    Ok(from_now(Timestamp::now(), span.ok_or_else(|| format!("{text:?} is more than a hundred years"))?))
}

/// The longest time before or after now, in hours: a hundred years.
const MAX_HOURS: i64 = 100 * 365 * 24;

/// A time in a table, in UTC.
pub(crate) fn shown(time: Option<&ApiTimestamp>) -> String {
    let time = time.and_then(api::timestamp);
    time.map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default()
}

/// The time of day, in UTC.
pub(crate) fn clock(time: Option<&ApiTimestamp>) -> String {
    time.and_then(api::timestamp).map(|time| time.strftime("%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// How long ago a time was, in its largest unit; "never" if there is none.
pub(crate) fn ago(time: Option<&ApiTimestamp>) -> String {
    let Some(time) = time.and_then(api::timestamp) else { return "never".to_owned() };
    match Timestamp::now().duration_since(time).as_secs().max(0) {
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// A duration in a table.
pub(crate) fn lasted(duration: Option<&ApiDuration>) -> String {
    let Some(duration) = duration.and_then(api::duration) else { return String::new() };
    if duration < Duration::from_secs(10) {
        return format!("{} ms", duration.as_millis());
    }
    jiff::SignedDuration::try_from(duration).map(|duration| format!("{duration:#}")).unwrap_or_default()
}

/// A duration in days, if it is a whole number of them.
pub(crate) fn days(duration: Option<&ApiDuration>) -> String {
    const SECONDS: u64 = 24 * 60 * 60;
    let Some(duration) = duration.and_then(api::duration) else { return String::new() };
    match duration.as_secs() / SECONDS {
        0 => format!("{duration:?}"),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_several_ways() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(span("2h"), Ok(hour * 2));
        assert_eq!(span("7d"), Ok(hour * 24 * 7));
        assert_eq!(past("2026-01-31").unwrap().to_string(), "2026-01-31T00:00:00Z");
        assert_eq!(past("2026-01-31T08:00:00+01:00").unwrap().to_string(), "2026-01-31T07:00:00Z");
        assert!(past("2h").unwrap() < Timestamp::now() && Timestamp::now() < future("2h").unwrap());
        for rubbish in ["", "soon", "-2h", "5", "2026-13-01", "99999999d"] {
            assert!(past(rubbish).is_err(), "{rubbish:?}");
        }
    }
}
