//! Why a request cannot be rendered, and the limits of rendering.

use crate::xml::NoXml;

use domain::json;

/// Maximum length of a rendered URL, in bytes; most servers refuse longer ones.
pub const MAX_URL: usize = 8 * 1024;
/// Maximum number of instructions of the engine for one template.
pub const FUEL: u64 = 100_000;
/// Maximum size of a rendered body, in bytes.
pub const LARGEST: usize = 1024 * 1024;

/// Why a request cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template is wrong, or uses a value that the event does not have.
    #[error("{part} template, line {line}: {problem}")]
    Template {
        /// `URL` or `body`.
        part: &'static str,
        /// Counted from 1.
        line: usize,
        problem: String,
    },
    /// The result is not a URL.
    #[error("URL template: the result for this lead is not a URL")]
    Url(#[from] ::url::ParseError),
    /// The URL is longer than [`MAX_URL`]. A receiver would refuse it, and it is too large to be recorded.
    #[error("URL template: the URL for this lead has {size} bytes, and {MAX_URL} is the limit")]
    LongUrl { size: usize },
    /// A template may only compute path and query.
    #[error("URL template: the URL for this lead leads to another host; only path and query may be filled in")]
    Host,
    /// No value may add or remove a path segment, or lead to another path.
    #[error("URL template: the lead may not change the shape of the path: {0}")]
    Path(String),
    /// The body is larger than [`LARGEST`]. A receiver would refuse it, and it takes too much memory.
    #[error("body template: the body for this lead has {size} bytes, and {LARGEST} is the limit")]
    LargeBody { size: usize },
    /// A rendered body has to be JSON.
    #[error(
        "body template: the result is not JSON; values bring their own quotes: write \
         {{{{ \"Hi \" ~ payload.name }}}} instead of \"Hi {{{{ payload.name }}}}\""
    )]
    NoJson(#[source] serde_json::Error),
    /// The body of the form is larger than [`LARGEST`].
    #[error("the form for this lead has more than {LARGEST} bytes, which is the limit")]
    LargeForm,
    /// The template's result is not a form.
    #[error(
        "body template: the result is not a form: {0:?} has to be percent-encoded, a blank as + or %20. Values are \
         encoded by Leadline"
    )]
    NoForm(char),
    /// The template's result is not well-formed XML.
    #[error("body template: the result is not XML: {0}")]
    NoXml(NoXml),
    /// A form can only be made of an object.
    #[error("the payload is not an object, so it has no fields for a form; send it as JSON, or use a body template")]
    NoFields,
    /// A form or a message for Slack cannot be made of the payload.
    #[error("the payload cannot be read")]
    Payload(#[from] json::JsonError),
    /// An envelope can only hold JSON.
    #[error("the payload is not JSON")]
    Envelope(#[source] serde_json::Error),
    /// The operating system cannot start a thread for the template.
    #[error("cannot try the template now")]
    NoThread(#[source] std::io::Error),
}
