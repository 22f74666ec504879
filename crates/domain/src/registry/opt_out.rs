//! Who does not want to be mailed about what.

use crate::{
    ids::{AccountId, OptOutId},
    notice::NoticeKind,
};

/// Somebody does not want mails of one kind about one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// The account.
    pub account: AccountId,
    /// Computed from address and kind.
    pub id: OptOutId,
    /// The address, in lower case: mail servers take upper and lower case for the same.
    pub email: String,
    /// The kind.
    pub kind: NoticeKind,
}

impl OptOut {
    /// That this address does not want mails of this kind.
    pub fn new(account: AccountId, email: &str, kind: NoticeKind) -> Self {
        let email = email.to_lowercase();
        Self { account, id: OptOutId::of(&email, kind.as_str()), email, kind }
    }
}
