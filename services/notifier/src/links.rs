//! Links: [`unsubscribe`] records opt-outs, [`confirming`] asks the owners of addresses for consent, [`details`] shows
//! the current state of the destination or lead that a mail is about. [`link_pages`] has their common parts.
//! [`console`] makes links into the console.

pub(crate) mod confirming;
pub(crate) mod console;
pub(crate) mod details;
pub(crate) mod link_pages;
pub(crate) mod target;
pub(crate) mod unsubscribe;
