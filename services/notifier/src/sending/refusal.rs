//! Classification of a mail server's refusals: a refusal is about one recipient or about every mail.
//!
//! A refusal before `RCPT` is about every mail, because no server knows the recipient yet (RFC 5321 section 4.3.2). The
//! same holds for 421 and a missing reply. Otherwise the reply code says whether the refusal is temporary. The enhanced
//! status code (RFC 3463) of a permanent refusal says what it is about. Without one, the reply code says that, too.

/// The step of the SMTP session that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connection, greeting, `EHLO`, TLS, authentication.
    Connection,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA` and the message.
    Data,
}

impl Stage {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
        }
    }
}

/// The consequence of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// The recipient will never get this mail.
    GiveUp,
    /// The recipient may get it later.
    RecipientLater,
    /// The sender, the installation or its quota is refused. The mail waits until an operator corrects that.
    OperatorLater,
    /// The server accepts no mails now.
    ServerLater,
}

/// The consequence of a reply. `code` is `None` if there was no reply.
pub(crate) fn judge(stage: Stage, code: Option<u16>, text: &str) -> Judgement {
    let code = match (stage, code) {
        (Stage::Connection | Stage::Sender, _) | (_, None | Some(421)) => return Judgement::ServerLater,
        (Stage::Recipient | Stage::Data, Some(code)) => code,
    };
    if code < 500 {
        return Judgement::RecipientLater;
    }
    let is_about_recipient = match enhanced(text) {
        // 5.1.7 and 5.1.8 are about the sender's address.
        Some((5, 1, detail)) => !matches!(detail, 7 | 8),
        // The mailbox; the message's own content.
        Some((5, 2 | 6, _)) => true,
        // Mail system, routing and daily limits, protocol, policy.
        Some((5, 3 | 4 | 5 | 7, _)) => false,
        // No mailbox, not local, mailbox full, no such name, no mail for this domain.
        _ => matches!(code, 550..=553 | 556),
    };
    if is_about_recipient { Judgement::GiveUp } else { Judgement::OperatorLater }
}

/// The first enhanced status code of a reply.
pub(crate) fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse().ok());
        match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
            (Some(class), Some(subject), Some(detail), None) => Some((class, subject, detail)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Judgement::*, Stage::*, *};

    #[test]
    fn a_refusal_before_rcpt_is_never_about_the_recipient() {
        for stage in [Connection, Sender] {
            for code in [None, Some(421), Some(450), Some(501), Some(550), Some(552), Some(553), Some(554)] {
                assert_eq!(judge(stage, code, "5.1.1 no such user"), ServerLater, "{stage:?} {code:?}");
            }
        }
    }

    #[test]
    fn only_a_refusal_about_the_recipient_is_final() {
        let table = [
            (450, "4.2.1 try again", RecipientLater),
            (452, "4.2.2 mailbox full", RecipientLater),
            (451, "greylisted", RecipientLater),
            (421, "4.7.0 too many messages", ServerLater),
            (550, "5.1.1 no such user", GiveUp),
            (550, "no such user", GiveUp),
            (553, "5.1.3 bad syntax", GiveUp),
            (552, "5.2.2 mailbox full", GiveUp),
            (556, "5.1.10 no mail for this domain", GiveUp),
            (550, "5.1.8 sender's domain does not exist", OperatorLater),
            (501, "5.1.7 bad sender", OperatorLater),
            (504, "5.5.2 need fully-qualified address", OperatorLater),
            (504, "need fully-qualified hostname", OperatorLater),
            (530, "5.7.0 authenticate first", OperatorLater),
            (535, "bad password", OperatorLater),
            (550, "5.4.5 Daily sending limit exceeded", OperatorLater),
            (550, "5.7.1 relaying denied", OperatorLater),
            (550, "5.7.26 unauthenticated, DMARC", OperatorLater),
            (550, "5.7.60 client does not have permission to send as this sender", OperatorLater),
            (552, "5.3.4 too large", OperatorLater),
            (554, "5.7.1 Relay access denied", OperatorLater),
            (554, "transaction failed", OperatorLater),
        ];
        for stage in [Recipient, Data] {
            for (code, text, expected) in table {
                assert_eq!(judge(stage, Some(code), text), expected, "{stage:?} {code} {text}");
            }
            assert_eq!(judge(stage, None, "connection reset"), ServerLater);
        }
    }
}
