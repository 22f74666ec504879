//! Sending: [`mailer`] sends each notice once, and [`mails`] sends a mail to each recipient. [`dedup`] and [`history`]
//! prevent second mails. [`transport`] sends a mail over [`smtp`] or writes it into the [`outbox`]. [`refusal`]
//! classifies the replies of the mail server, [`pauses`] decides when the next try begins, [`quota`] limits the mails
//! of an hour.

pub(crate) mod dedup;
pub(crate) mod history;
pub(crate) mod mailer;
pub(crate) mod mails;
pub(crate) mod outbox;
pub(crate) mod pauses;
pub(crate) mod quota;
pub(crate) mod refusal;
pub(crate) mod results;
pub(crate) mod smtp;
pub(crate) mod transport;
