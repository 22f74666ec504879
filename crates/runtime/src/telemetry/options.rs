//! Options of the logs, which every service has.

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object in each line
    Json,
}

/// Options of the logs.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "telemetry")]
pub struct Options {
    /// Format of the log, which goes to standard error
    #[arg(long, env = "LEADLINE_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to log: a level (error, warn, info, debug, trace), and other levels for single parts, such as
    /// warn,dispatcher=debug
    /// [default: the variable RUST_LOG, else info]
    #[arg(long, env = "LEADLINE_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
}
