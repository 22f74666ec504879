//! Leadline: delivers leads to webhooks and never loses one. See `leadline --help`.

mod broker;
mod call;
mod cli;
mod compose;
mod data_dir;
mod demo;
mod key;
mod listen;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("leadline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
