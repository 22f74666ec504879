//! Links: [`unsubscribe`] takes opt-outs, [`confirming`] asks the owners of addresses, [`details`] shows the present
//! state of the destination or lead that a mail is about; [`link_pages`] is what they share. [`console`] makes links into
//! the console.

pub(crate) mod confirming;
pub(crate) mod console;
pub(crate) mod details;
pub(crate) mod link_pages;
pub(crate) mod target;
pub(crate) mod unsubscribe;
