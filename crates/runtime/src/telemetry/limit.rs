//! Repeated lines of the log are counted instead of written.
//!
//! The same line is written at most once in [`WINDOW`], and one place in the code writes at most [`MAX_LINES`] lines in
//! that time. Suppressed lines are counted, and one line has their number when the window is over. Lines whose target
//! begins with [`EXEMPT`] are always written, because each of them reports something else. So are lines below the level
//! `info`.

use std::{
    collections::HashMap,
    fmt::{Debug, Write as _},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level,
    callsite::Identifier,
    field::{Field, Visit},
};

/// How long a line is not repeated.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// How many lines one place in the code may write in [`WINDOW`].
const MAX_LINES: u32 = 100;
/// How many lines and places are remembered; further ones are not limited.
const MAX_REMEMBERED: usize = 4_096;
/// The longest text of a suppressed line that is kept, in bytes.
const MAX_TEXT: usize = 300;
/// The beginning of targets whose lines are never suppressed.
pub(super) const EXEMPT: &str = "leadline::";
/// The interval of checks for windows that are over.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Suppresses repeated lines. Clones share the remembered lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Limiter(Arc<Mutex<Recent>>);

/// The lines that were written and suppressed recently.
#[derive(Debug, Default)]
struct Recent {
    lines: HashMap<(Identifier, u64), Line>,
    call_sites: HashMap<Identifier, CallSite>,
    /// The lines that were suppressed in windows that are over.
    over: Vec<Suppressed>,
}

#[derive(Debug)]
struct Line {
    until: Instant,
    level: Level,
    text: String,
    suppressed: u64,
}

#[derive(Debug)]
struct CallSite {
    until: Instant,
    written: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Suppressed {
    level: Level,
    text: String,
    count: u64,
}

impl Line {
    /// `None` if each line was written.
    fn suppressed(self) -> Option<Suppressed> {
        let Self { level, text, suppressed: count, .. } = self;
        (count > 0).then_some(Suppressed { level, text, count })
    }
}

impl Limiter {
    /// Logs suppressed lines, as long as the process runs.
    pub(super) async fn report_for_ever(self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.report(Instant::now());
        }
    }

    /// Logs the lines that were suppressed in windows that are over at this time.
    pub(super) fn report(&self, now: Instant) {
        let over = self.recent(|recent| recent.over(now));
        for Suppressed { level, text, count } in over {
            match level {
                Level::ERROR => {
                    tracing::error!(target: "leadline::suppressed", line = text, count, "suppressed repeated lines")
                }
                Level::WARN => {
                    tracing::warn!(target: "leadline::suppressed", line = text, count, "suppressed repeated lines")
                }
                _ => tracing::info!(target: "leadline::suppressed", line = text, count, "suppressed repeated lines"),
            }
        }
    }

    /// Whether a line is to be written. If not, it is counted.
    pub(super) fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if metadata.target().starts_with(EXEMPT) || *metadata.level() > Level::INFO {
            return true;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.recent(|recent| recent.admits(metadata.callsite(), *metadata.level(), &text.0, Instant::now()))
    }

    fn recent<T>(&self, look: impl FnOnce(&mut Recent) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recent {
    fn admits(&mut self, call_site: Identifier, level: Level, text: &str, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let key = (call_site.clone(), hasher.finish());
        if let Some(line) = self.lines.get_mut(&key).filter(|line| line.until > now) {
            line.suppressed += 1;
            return false;
        }
        if self.lines.len() >= MAX_REMEMBERED || self.call_sites.len() >= MAX_REMEMBERED {
            return true;
        }
        let until = now + WINDOW;
        let of_site = self.call_sites.entry(call_site).or_insert(CallSite { until, written: 0 });
        if of_site.until <= now {
            *of_site = CallSite { until, written: 0 };
        }
        of_site.written += 1;
        let is_written = of_site.written <= MAX_LINES;
        let text = text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
        let before = self.lines.insert(key, Line { until, level, text, suppressed: u64::from(!is_written) });
        self.over.extend(before.and_then(Line::suppressed));
        is_written
    }

    /// Forgets windows that are over, and returns the lines that were suppressed in them.
    fn over(&mut self, now: Instant) -> Vec<Suppressed> {
        self.call_sites.retain(|_, call_site| call_site.until > now);
        let ended = self.lines.extract_if(|_, line| line.until <= now);
        self.over.extend(ended.filter_map(|(_, line)| line.suppressed()));
        std::mem::take(&mut self.over)
    }
}

/// The message and the fields of an event in one text.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Identifier {
        use tracing::Callsite as _;
        tracing::callsite!(name: "here", kind: tracing::metadata::Kind::EVENT, fields: message).metadata().callsite()
    }

    #[test]
    fn repeats_within_ten_seconds_are_counted_instead_of_written() {
        let (mut recent, start, call_site) = (Recent::default(), Instant::now(), here());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut admits = |text: &str, seconds| recent.admits(call_site.clone(), Level::WARN, text, at(seconds));
        assert!(admits("disk is full", 0) && admits("disk is slow", 0));
        assert!(!admits("disk is full", 1) && !admits("disk is full", 9));
        assert_eq!(recent.over(at(9)), []);
        let counted = Suppressed { level: Level::WARN, text: "disk is full".into(), count: 2 };
        assert_eq!(recent.over(at(10)), [counted]);
        assert!(recent.admits(call_site.clone(), Level::WARN, "disk is full", at(10)));
        assert_eq!(recent.over(at(60)), []);
        assert_eq!((recent.lines.len(), recent.call_sites.len()), (0, 0), "nothing is remembered for ever");
    }

    #[test]
    fn one_place_writes_a_limited_number_of_lines() {
        let (mut recent, now, call_site) = (Recent::default(), Instant::now(), here());
        let written = (0..500).filter(|n| recent.admits(call_site.clone(), Level::INFO, &n.to_string(), now)).count();
        assert_eq!(written, MAX_LINES as usize);
        let suppressed: u64 = recent.over(now + WINDOW).iter().map(|suppressed| suppressed.count).sum();
        assert_eq!(suppressed, 400);
    }
}
