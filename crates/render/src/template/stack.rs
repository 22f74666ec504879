//! The stack for templates: compiling and rendering recurse as deep as the template is nested.

use std::{io, panic::resume_unwind, thread};

/// The size of the stack for a template, in bytes: several times what the longest expression needs in a debug build.
/// Only the used part takes memory.
pub const STACK: usize = 64 * 1024 * 1024;

/// Runs work on a stack of [`STACK`] bytes.
///
/// # Errors
/// When the operating system has no thread for it.
pub(crate) fn on_large_stack<Done: Send>(doing: impl FnOnce() -> Done + Send) -> io::Result<Done> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("template".into()).stack_size(STACK).spawn_scoped(scope, doing)?;
        thread.join().map_or_else(|panicked| resume_unwind(panicked), Ok)
    })
}
