//! Pauses after refusals: one for the mail server and one for each refused recipient, not one for each mail.
//!
//! A pause doubles with each failed try. When it is over, one mail probes before the others. The mail server is paused
//! if it accepts no mails ([`Tried::Server`]). It is also paused after it refused several recipients in a row, for
//! instance because a quota was used up. The caller passes the time.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause of the mail server, and so the longest wait of a failure notice for its first try.
const MAX_SERVER_PAUSE: Duration = Duration::from_secs(30);
const MAX_RECIPIENT_PAUSE: Duration = Duration::from_secs(60);
/// The number of recipients refused in a row that counts as a refusal of the mail server.
const MAX_REFUSED_IN_A_ROW: usize = 3;
/// The maximum number of paused recipients that are remembered. If there are more, all are forgotten, and mails to
/// them may be tried at once.
const MAX_PAUSED_RECIPIENTS: usize = 10_000;
/// How long other mails wait for the result of a probe.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// After a pause, a mail without precedence waits this much longer than a failure notice.
const ORDINARY_DELAY: Duration = Duration::from_secs(1);
/// After a pause, a refused recipient waits this much longer than others: its probe could lengthen the pause for all.
const REFUSED_DELAY: Duration = Duration::from_secs(2);

/// Why a mail is not tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) after: Duration,
    /// The last refusal.
    pub(crate) why: String,
}

/// The result of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// The server took the mail or refused this recipient for good; either way the server works.
    Answered,
    /// This recipient was refused for now.
    Recipient(String),
    /// The server accepts no mails now.
    Server(String),
}

#[derive(Debug, Default)]
pub(crate) struct Pauses {
    server: Pause,
    recipients: HashMap<String, Pause>,
    /// Recipients that were refused since the server took a mail.
    refused: HashSet<String>,
}

#[derive(Debug, Clone, Default)]
struct Pause {
    /// `None` if there is no pause.
    until: Option<Instant>,
    length: Duration,
    is_probed: bool,
    why: String,
}

impl Pauses {
    /// How long the mail server is paused for all recipients; `None` if it is not. Checked before a mail is rendered.
    pub(crate) fn server_wait(&self, precedence: bool, now: Instant) -> Option<Wait> {
        self.server.wait(later(precedence), now)
    }

    /// Admits a mail to a try, or returns how long it has to wait. The caller has to report the result of an admitted
    /// try.
    pub(crate) fn admit(&mut self, recipient: &str, precedence: bool, now: Instant) -> Result<(), Wait> {
        let own = if self.refused.contains(recipient) { REFUSED_DELAY } else { Duration::ZERO };
        let server = self.server.wait(later(precedence) + own, now);
        let paused = self.recipients.get_mut(recipient);
        let wait = paused.as_ref().and_then(|pause| pause.wait(Duration::ZERO, now));
        if let Some(wait) = [server, wait].into_iter().flatten().max_by_key(|wait| wait.after) {
            return Err(wait);
        }
        self.server.is_probed = self.server.until.is_some();
        if let Some(pause) = paused {
            pause.is_probed = true;
        }
        Ok(())
    }

    /// Records the result of a try, and returns how long its recipient has to wait now.
    pub(crate) fn report(&mut self, recipient: &str, tried: Tried, now: Instant) -> Duration {
        match tried {
            Tried::Answered => {
                self.server = Pause::default();
                self.recipients.remove(recipient);
                self.refused.clear();
                Duration::ZERO
            }
            Tried::Server(why) => {
                if let Some(pause) = self.recipients.get_mut(recipient) {
                    pause.is_probed = false;
                }
                self.server.lengthen(why, MAX_SERVER_PAUSE, now)
            }
            Tried::Recipient(why) => {
                self.refused.insert(recipient.to_owned());
                if self.server.until.is_some() || self.refused.len() >= MAX_REFUSED_IN_A_ROW {
                    self.server.lengthen(why.clone(), MAX_SERVER_PAUSE, now);
                }
                if self.recipients.len() >= MAX_PAUSED_RECIPIENTS {
                    self.recipients.clear();
                    self.refused.clear();
                }
                let pause = self.recipients.entry(recipient.to_owned()).or_default();
                pause.lengthen(why, MAX_RECIPIENT_PAUSE, now)
            }
        }
    }

    pub(crate) fn refused_in_a_row(&self) -> usize {
        self.refused.len()
    }
}

const fn later(precedence: bool) -> Duration {
    if precedence { Duration::ZERO } else { ORDINARY_DELAY }
}

impl Pause {
    fn wait(&self, later: Duration, now: Instant) -> Option<Wait> {
        let left = (self.until? + later).saturating_duration_since(now);
        let after = match (left.is_zero(), self.is_probed) {
            (false, _) => left,
            (true, true) => PROBE_WAIT,
            (true, false) => return None,
        };
        Some(Wait { after, why: self.why.clone() })
    }

    /// Doubles the pause if it is over. While it lasts, results of tries that began before it change nothing.
    fn lengthen(&mut self, why: String, max: Duration, now: Instant) -> Duration {
        if self.until.is_none_or(|until| until <= now) {
            self.length = (self.length * 2).clamp(FIRST_PAUSE, max);
            self.until = Some(now + self.length);
            self.why = why;
        }
        self.is_probed = false;
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refuse(pauses: &mut Pauses, recipient: &str, now: Instant) -> bool {
        let admitted = pauses.admit(recipient, true, now).is_ok();
        if admitted {
            pauses.report(recipient, Tried::Recipient("450".into()), now);
        }
        admitted
    }

    /// The tries in a minute while mails wait for this number of recipients all the time.
    fn tries_in_a_minute(recipients: usize) -> usize {
        let (mut pauses, begin) = (Pauses::default(), Instant::now());
        let tenths = (0..600).map(|tenth| begin + SECOND * tenth / 10);
        tenths.map(|now| (0..recipients).filter(|n| refuse(&mut pauses, &format!("p{n}"), now)).count()).sum()
    }

    #[test]
    fn server_with_a_quota_is_tried_a_few_times_a_minute() {
        assert!((4..=8).contains(&tries_in_a_minute(1)), "{}", tries_in_a_minute(1));
        assert!((4..=16).contains(&tries_in_a_minute(2)), "{}", tries_in_a_minute(2));
        assert!((4..=16).contains(&tries_in_a_minute(1_000)), "{}", tries_in_a_minute(1_000));
    }

    #[test]
    fn one_full_mailbox_pauses_nobody_else() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        assert!(refuse(&mut pauses, "full", now));
        assert!(pauses.admit("full", true, now + SECOND).is_err());
        assert_eq!(pauses.admit("other", false, now), Ok(()));
        assert_eq!(pauses.server_wait(false, now), None);
    }

    #[test]
    fn one_mail_tries_a_failed_server_and_failure_notices_come_first() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        assert_eq!(pauses.admit("a", true, now), Ok(()));
        pauses.report("a", Tried::Server("connection refused".into()), now);
        assert_eq!(pauses.admit("b", true, now + SECOND).unwrap_err().after, SECOND);
        let over = now + FIRST_PAUSE;
        assert_eq!(pauses.admit("lead", false, over).unwrap_err().after, ORDINARY_DELAY);
        assert_eq!(pauses.admit("b", true, over), Ok(()));
        assert_eq!(pauses.admit("c", true, over).unwrap_err().after, PROBE_WAIT);
        pauses.report("b", Tried::Server("connection refused".into()), over);
        assert_eq!(pauses.admit("c", true, over).unwrap_err().after, 2 * FIRST_PAUSE);
        assert_eq!(pauses.admit("c", true, over + 2 * FIRST_PAUSE), Ok(()));
        pauses.report("c", Tried::Answered, over + 2 * FIRST_PAUSE);
        assert_eq!(pauses.admit("lead", false, over + 2 * FIRST_PAUSE), Ok(()));
    }
}
