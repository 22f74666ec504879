//! Writing: [`builder`] finds the recipients and the content of a notice. [`templates`] renders the texts of
//! `templates/*.jinja` with the help of [`engine`] and [`compose`]. [`subjects`] writes the subject line, [`body`]
//! renders the content as text and HTML, and [`email`] makes the mail.

pub(crate) mod body;
pub(crate) mod builder;
pub(crate) mod compose;
pub(crate) mod email;
pub(crate) mod engine;
#[cfg(test)]
pub(crate) mod mail_snapshots;
#[cfg(test)]
mod samples;
pub(crate) mod subjects;
pub(crate) mod templates;
