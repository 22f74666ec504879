//! Leadline: delivers leads to webhooks and never loses one. See `leadline --help`.

mod api_keys;
mod cli;
mod demo;
mod listen;
mod processes;
mod remote;
mod terminal;
mod verbs;

use std::process::ExitCode;

/// Threads allocate and free many small facts; the system's allocator takes a tenth of the processor time for that.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    runtime::private::make_new_files_private();
    match cli::Cli::read().run().await {
        Ok(code) => code,
        Err(error) => terminal::errors::report(&error),
    }
}
