//! Opt-outs from mails.

use crate::{
    ids::{AccountId, OptOutId},
    notice::kind::NoticeKind,
};

/// The opt-out of one address from mails of one kind about one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    pub account: AccountId,
    /// Computed from address and kind.
    pub id: OptOutId,
    /// The address, in lower case, because mail servers ignore case.
    pub email: String,
    pub kind: NoticeKind,
}

impl OptOut {
    /// The opt-out of this address from mails of this kind.
    pub fn new(account: AccountId, email: &str, kind: NoticeKind) -> Self {
        let email = email.to_lowercase();
        Self { account, id: OptOutId::of(&email, kind.as_str()), email, kind }
    }
}
