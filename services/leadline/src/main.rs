//! Leadline: delivers leads to webhooks and never loses one. See `leadline --help`.

mod anywhere;
mod api_keys;
mod broker;
mod call;
mod cli;
mod client;
mod compose;
mod contexts;
mod data_dir;
mod demo;
mod environment;
mod errors;
mod forward;
mod installation;
mod listen;
mod master_key;
mod names;
mod network;
mod output;
mod read_side;
mod session;
mod table;
mod time_args;
mod up;
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
        Err(error) => errors::report(&error),
    }
}
