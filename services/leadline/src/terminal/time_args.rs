//! Reads times from the command line, and formats times for tables.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::{
    Timestamp, Zoned,
    civil::{Date, Time},
    tz::TimeZone,
};
use prost_types::{Duration as ApiDuration, Timestamp as ApiTimestamp};
pub(crate) use runtime::duration::parse as span;

use crate::terminal::output::counted;

/// The seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Reads a time: how long ago it was (`2h`, `7d`), a time of day, a day, both, or RFC 3339.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    moment(text, |now, span| now - span)
}

/// Reads a time: how far in the future it is (`2h`, `7d`), a time of day, a day, both, or RFC 3339.
pub(crate) fn future(text: &str) -> Result<Timestamp, String> {
    moment(text, |now, span| now + span)
}

fn moment(text: &str, from_now: impl Fn(Timestamp, jiff::SignedDuration) -> Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(time) = wall_clock(text, &Zoned::now().with_time_zone(zone())) {
        return Ok(time);
    }
    let unknown = |_| {
        format!(
            "{text:?} is not a time such as 2h, 7d, 14:00, today, yesterday 9:30, 2026-01-31, 2026-01-31 8:00 or \
             2026-01-31T08:00:00Z"
        )
    };
    let span = span(text).map_err(unknown)?;
    let span = jiff::SignedDuration::try_from(span).ok().filter(|span| span.as_hours() < MAX_HOURS);
    Ok(from_now(Timestamp::now(), span.ok_or_else(|| format!("{text:?} is more than a hundred years away"))?))
}

/// A day, a time of day, or both, in the time zone of `now`: `14:00`, `today`, `yesterday 9:30`, `2026-01-31`,
/// `2026-01-31 8:00`.
fn wall_clock(text: &str, now: &Zoned) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let (first, second) = (words.next()?, words.next());
    if words.next().is_some() {
        return None;
    }
    let day = |word: &str| match word {
        "today" => Some(now.date()),
        "yesterday" => now.date().yesterday().ok(),
        "tomorrow" => now.date().tomorrow().ok(),
        word => word.parse::<Date>().ok().filter(|_| word.len() == "2026-01-31".len()),
    };
    let (date, time) = match (day(first), second) {
        (Some(date), None) => (date, Time::midnight()),
        (Some(date), Some(second)) => (date, time_of_day(second)?),
        (None, None) => (now.date(), time_of_day(first)?),
        (None, Some(_)) => return None,
    };
    let zoned = date.to_datetime(time).to_zoned(now.time_zone().clone()).ok()?;
    Some(zoned.timestamp())
}

/// `9:30`, `14:00` or `14:00:05`.
fn time_of_day(text: &str) -> Option<Time> {
    let parts: Vec<_> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| part.len() > 2 || part.is_empty()) {
        return None;
    }
    let numbers: Vec<i8> = parts.iter().map(|part| part.parse().ok()).collect::<Option<_>>()?;
    Time::new(numbers[0], numbers[1], numbers.get(2).copied().unwrap_or(0), 0).ok()
}

/// Whether times are read and shown in UTC instead of the local time zone. It is set before the command line is parsed,
/// because the parser reads times.
static IN_UTC: AtomicBool = AtomicBool::new(false);

pub(crate) fn use_utc() {
    IN_UTC.store(true, Ordering::Relaxed);
}

fn zone() -> TimeZone {
    if IN_UTC.load(Ordering::Relaxed) { TimeZone::UTC } else { TimeZone::system() }
}

/// The longest time before or after now, in hours: a hundred years.
const MAX_HOURS: i64 = 100 * 365 * 24;

/// A time in a table, in the local time zone with its offset, or in UTC with a `Z`.
pub(crate) fn shown(time: Option<&ApiTimestamp>) -> String {
    formatted(time, "%Y-%m-%d %H:%M:%S")
}

/// The time of day, for a table.
pub(crate) fn clock(time: Option<&ApiTimestamp>) -> String {
    formatted(time, "%H:%M:%S")
}

fn formatted(time: Option<&ApiTimestamp>, format: &str) -> String {
    let Some(time) = time.and_then(api::timestamp) else { return String::new() };
    let zoned = time.to_zoned(zone());
    let offset = if zoned.offset().is_zero() { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
    format!("{}{offset}", zoned.strftime(format))
}

/// How long ago a time was, in its largest unit; "never" if there is none.
pub(crate) fn ago(time: Option<&ApiTimestamp>) -> String {
    let Some(time) = time.and_then(api::timestamp) else { return "never".to_owned() };
    match Timestamp::now().duration_since(time).as_secs().max(0) {
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} ago", counted(seconds.unsigned_abs() / DAY, "day", "days")),
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

/// A duration in days if it is a whole number of days.
pub(crate) fn days(duration: Option<&ApiDuration>) -> String {
    let Some(duration) = duration.and_then(api::duration) else { return String::new() };
    let seconds = duration.as_secs();
    match seconds.is_multiple_of(DAY) {
        true => counted(seconds / DAY, "day", "days"),
        false => jiff::SignedDuration::try_from(duration).map(|duration| format!("{duration:#}")).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_days_only_if_they_are_whole_days() {
        let hours = |hours: i64| ApiDuration { seconds: hours * 3_600, nanos: 0 };
        for (duration, text) in [(24, "1 day"), (168, "7 days"), (36, "36h"), (1, "1h")] {
            assert_eq!(days(Some(&hours(duration))), text);
        }
    }

    #[test]
    fn times_are_written_in_several_ways() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(span("2h"), Ok(hour * 2));
        assert_eq!(span("7d"), Ok(hour * 24 * 7));
        assert_eq!(past("2026-01-31T08:00:00+01:00").unwrap().to_string(), "2026-01-31T07:00:00Z");
        assert!(past("2h").unwrap() < Timestamp::now() && Timestamp::now() < future("2h").unwrap());
        let day = past("2026-01-31").unwrap().to_zoned(zone());
        assert_eq!(day.datetime().to_string(), "2026-01-31T00:00:00");
        for rubbish in [
            "",
            "soon",
            "25:00",
            "9",
            "9:5:1:2",
            "today later",
            "9:30 today",
            "2026-1-1",
            "-2h",
            "5",
            "2026-13-01",
            "99999999d",
        ] {
            assert!(past(rubbish).is_err(), "{rubbish:?}");
        }
    }

    #[test]
    fn times_and_days_are_in_the_time_zone() {
        let now: Zoned = "2026-03-29T15:00:00+02:00[Europe/Berlin]".parse().unwrap();
        for (text, expected) in [
            ("14:00", "2026-03-29T12:00:00Z"),
            ("9:30:05", "2026-03-29T07:30:05Z"),
            ("today", "2026-03-28T23:00:00Z"),
            ("yesterday 9:30", "2026-03-28T08:30:00Z"),
            ("tomorrow 0:00", "2026-03-29T22:00:00Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z"),
            ("2026-07-01 8:00", "2026-07-01T06:00:00Z"),
            // This time does not exist: the clocks changed from 2:00 to 3:00.
            ("2:30", "2026-03-29T01:30:00Z"),
        ] {
            assert_eq!(wall_clock(text, &now).unwrap().to_string(), expected, "{text}");
        }
    }
}
