//! When to try a mail server and a recipient again: one pause for each, not one for each mail.
//!
//! A pause doubles with each try that fails, and after it one mail tries before the others. A mail server is paused after a
//! refusal that is not about a recipient, or when several recipients in a row were refused for now, as a quota does it.
//! Time comes in with each call.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause of the mail server: a failure notice waits no longer for its first try.
const MAX_SERVER_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause of a recipient.
const MAX_RECIPIENT_PAUSE: Duration = Duration::from_secs(60);
/// How many recipients in a row are refused until that counts as the mail server's refusal.
const MAX_REFUSED_IN_A_ROW: usize = 3;
/// How many recipients are known as paused; with more, all of them may be tried at once.
const MAX_PAUSED_RECIPIENTS: usize = 10_000;
/// How long others wait while one mail tries whether the pause is over.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// How much later than a failure notice a mail of another kind tries after a pause.
const PRECEDENCE: Duration = Duration::from_secs(1);
/// How much later than others a recipient tries that was refused itself: with its probe it would lengthen the pause of all.
const REFUSED_LAST: Duration = Duration::from_secs(2);

/// Why a mail is not tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) after: Duration,
    /// The last refusal.
    pub(crate) why: String,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// The server took the mail, or refused this recipient for good: it works.
    Answered,
    /// This recipient was refused for now.
    Recipient(String),
    /// The server takes no mails now.
    Server(String),
}

/// Which pauses there are.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    server: Pause,
    recipients: HashMap<String, Pause>,
    /// Who was refused since the server took a mail.
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
    /// Whether the server takes no mails now, for any recipient; checked before a mail is put together.
    pub(crate) fn server_wait(&self, precedence: bool, now: Instant) -> Option<Wait> {
        self.server.wait(later(precedence), now)
    }

    /// Whether a mail may be tried; the answer to a try has to be reported.
    pub(crate) fn admit(&mut self, recipient: &str, precedence: bool, now: Instant) -> Result<(), Wait> {
        let own = if self.refused.contains(recipient) { REFUSED_LAST } else { Duration::ZERO };
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

    /// Notes how a try ended; how long its recipient waits now.
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

    /// How many recipients in a row were refused.
    pub(crate) fn refused_in_a_row(&self) -> usize {
        self.refused.len()
    }
}

const fn later(precedence: bool) -> Duration {
    if precedence { Duration::ZERO } else { PRECEDENCE }
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

    /// A try that was under way when the pause began tells nothing new.
    fn lengthen(&mut self, why: String, longest: Duration, now: Instant) -> Duration {
        if self.until.is_none_or(|until| until <= now) {
            self.length = (self.length * 2).clamp(FIRST_PAUSE, longest);
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

    /// How many tries there are in a minute if mails for these recipients wait all the time.
    fn tries_in_a_minute(recipients: usize) -> usize {
        let (mut pauses, begin) = (Pauses::default(), Instant::now());
        let tenths = (0..600).map(|tenth| begin + SECOND * tenth / 10);
        tenths.map(|now| (0..recipients).filter(|n| refuse(&mut pauses, &format!("p{n}"), now)).count()).sum()
    }

    #[test]
    fn a_quota_is_tried_a_few_times_a_minute_however_many_mails_wait() {
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
    fn one_mail_tries_whether_the_server_is_back_and_failure_notices_come_first() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        assert_eq!(pauses.admit("a", true, now), Ok(()));
        pauses.report("a", Tried::Server("connection refused".into()), now);
        assert_eq!(pauses.admit("b", true, now + SECOND).unwrap_err().after, SECOND);
        let over = now + FIRST_PAUSE;
        assert_eq!(pauses.admit("lead", false, over).unwrap_err().after, PRECEDENCE);
        assert_eq!(pauses.admit("b", true, over), Ok(()));
        assert_eq!(pauses.admit("c", true, over).unwrap_err().after, PROBE_WAIT);
        pauses.report("b", Tried::Server("connection refused".into()), over);
        assert_eq!(pauses.admit("c", true, over).unwrap_err().after, 2 * FIRST_PAUSE);
        assert_eq!(pauses.admit("c", true, over + 2 * FIRST_PAUSE), Ok(()));
        pauses.report("c", Tried::Answered, over + 2 * FIRST_PAUSE);
        assert_eq!(pauses.admit("lead", false, over + 2 * FIRST_PAUSE), Ok(()));
    }
}
