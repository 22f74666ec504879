//! Templates are read and filled in by functions that call themselves, as deep as the template is nested.

use std::{io, panic::resume_unwind, thread};

/// How much of a stack a template may need, in bytes: several times what the longest expression takes in a debug build. Only
/// what is used of it takes memory.
pub const STACK: usize = 64 * 1024 * 1024;

/// Does something on a stack of [`STACK`] bytes.
///
/// # Errors
/// When the system has no thread for it.
pub(crate) fn on_large_stack<Done: Send>(doing: impl FnOnce() -> Done + Send) -> io::Result<Done> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("template".into()).stack_size(STACK).spawn_scoped(scope, doing)?;
        thread.join().map_or_else(|panicked| resume_unwind(panicked), Ok)
    })
}
