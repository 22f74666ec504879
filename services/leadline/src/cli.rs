//! The command line.

mod anywhere;
#[cfg(test)]
mod compatibility;
mod environment;

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use journal::{Journal, NatsOptions};
use read_model::Sources;
use runtime::{Listeners, Platform, telemetry};

use crate::{
    demo::Demo,
    listen::Listen,
    processes::{compose, master_key::KeyOptions, network::NetworkOptions, read_side::ReadSideOptions, up::Up},
    terminal::{output, time_args},
    verbs::Verb,
};

/// Delivers leads to webhooks and never loses one
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
#[command(
    after_help = "Connection options (--grpc-url, --api-key, …), --account, --json, --wide and --utc may stand before or after the \
                  command.\n\nExit codes: 0, the command succeeded; 1, it was refused or failed; 2, the command line is invalid."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, with a broker and a database of its own
    Up(Box<Up>),
    /// Run ingest alone: accepts lead events over HTTP and gRPC
    Ingest(Ingest),
    /// Run the dispatcher alone: routes lead events and sends them
    Dispatcher(Dispatcher),
    /// Run the notifier alone: mails people about failures
    Notifier(Notifier),
    /// Run query alone: lists leads and deliveries, changes the configuration, retries; runs maintenance, too
    Query(Box<Query>),
    /// Run maintenance alone: works on jobs, repairs deliveries, anonymises leads, deletes old history. It uses the
    /// database of query
    Maintenance(Maintenance),
    /// Clear the read model and rebuild it from the stored events
    ///
    /// History that is older than the stored events (--keep-events) is lost. Services may run meanwhile. Until the
    /// rebuild is complete, lists are incomplete and slow. If it is interrupted, run it again or restart query: both
    /// complete it. The current searchable fields apply to all events; they need the master key.
    Rebuild(Rebuild),
    /// Give the free space of an SQLite read model back to the disk, now and automatically from then on
    ///
    /// A file that was made before the setting --keep-history existed needs this once. The file is copied, which takes
    /// as much space again and some seconds for each gigabyte. Services may run: leads are delivered meanwhile, and
    /// lists show them later.
    Compact(Compact),
    #[command(flatten)]
    Verb(Box<Verb>),
    /// Receive webhooks: print requests, check signatures, answer as the options say
    Listen(Listen),
    /// Print what a shell needs to complete commands: source <(leadline completions bash)
    Completions(Completions),
    /// Send leads to three receivers: one healthy, one recovering, one dead until its deliveries are retried
    Demo(Demo),
}

/// The options of every service that runs alone.
#[derive(Debug, Args)]
struct Alone {
    #[command(flatten)]
    listeners: Listeners,
    #[command(flatten)]
    nats: NatsOptions,
}

#[derive(Debug, Args)]
struct Ingest {
    #[command(flatten)]
    alone: Alone,
    #[command(flatten)]
    options: ingest::Options,
}

#[derive(Debug, Args)]
struct Dispatcher {
    #[command(flatten)]
    alone: Alone,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    options: dispatcher::Options,
}

#[derive(Debug, Args)]
struct Notifier {
    #[command(flatten)]
    alone: Alone,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    options: notifier::Options,
}

#[derive(Debug, Args)]
struct Query {
    #[command(flatten)]
    alone: Alone,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    options: ReadSideOptions,
    /// Leave jobs, repairs, anonymisation and the deletion of old history to `leadline maintenance`, which then has to
    /// run with the same database
    #[arg(long, env = "LEADLINE_NO_MAINTENANCE")]
    no_maintenance: bool,
    /// Public https URL of the HTTP port; links to the console begin with it
    #[arg(long, env = "LEADLINE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
}

#[derive(Debug, Args)]
struct Maintenance {
    #[command(flatten)]
    alone: Alone,
    #[command(flatten)]
    read_model: read_model::Options,
    #[command(flatten)]
    options: maintenance::Options,
}

#[derive(Debug, Args)]
struct Rebuild {
    #[command(flatten)]
    telemetry: telemetry::Options,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    options: ReadSideOptions,
}

#[derive(Debug, Args)]
struct Completions {
    shell: Shell,
}

#[derive(Debug, Args)]
struct Compact {
    /// Where the read model is: sqlite:FILE?mode=rwc [default: leadline.db in the working directory]
    #[arg(long, env = "LEADLINE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    #[command(flatten)]
    telemetry: telemetry::Options,
}

impl Cli {
    /// Reads the command line and the environment, and ends the process if they are invalid.
    pub(crate) fn read() -> Self {
        let command = environment::without_empty_variables(Self::command());
        let words = anywhere::flags_last(std::env::args_os().collect(), &command);
        // The parser reads times, so it has to know the time zone before.
        if words.iter().any(|word| word == "--utc") {
            time_args::use_utc();
        }
        let matches = command.get_matches_from(words);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(up) => up.run().await,
            Command::Ingest(Ingest { alone, options }) => {
                compose::alone("ingest", &alone.listeners, &alone.nats, async |platform, journal| {
                    Ok(vec![ingest::start(&options, None, platform, journal).await?])
                })
                .await
            }
            Command::Dispatcher(Dispatcher { alone, key, network, options }) => {
                let master = key.required()?;
                compose::alone("dispatcher", &alone.listeners, &alone.nats, async |platform, journal| {
                    key.confirm(&master, journal).await?;
                    Ok(vec![dispatcher::start(&options, network.guard(), master, platform, journal).await?])
                })
                .await
            }
            Command::Notifier(Notifier { alone, key, options }) => {
                let master = key.given()?;
                compose::alone("notifier", &alone.listeners, &alone.nats, async |platform, journal| {
                    if let Some(master) = &master {
                        key.confirm(master, journal).await?;
                    }
                    Ok(vec![notifier::start(&options, master, platform, journal).await?])
                })
                .await
            }
            Command::Query(query) => {
                let Query { alone, key, network, options, no_maintenance, public_url } = *query;
                let master = key.required()?;
                compose::alone("query", &alone.listeners, &alone.nats, async |platform, journal| {
                    key.confirm(&master, journal).await?;
                    let sessions = compose::sessions(public_url.as_deref(), &options.query.console, &master, platform)?;
                    options.start(!no_maintenance, network.guard(), master, sessions, platform, journal).await
                })
                .await
            }
            Command::Maintenance(Maintenance { alone, read_model, options }) => {
                compose::alone("maintenance", &alone.listeners, &alone.nats, async |platform, journal| {
                    let sources = Sources::connect(&read_model, journal, platform).await?;
                    Ok(vec![maintenance::start(options, read_model.history, &sources, platform)])
                })
                .await
            }
            Command::Rebuild(rebuild) => rebuild.run().await,
            Command::Compact(compact) => compact.run().await,
            Command::Listen(listen) => listen.run().await,
            Command::Completions(Completions { shell }) => {
                let mut script = vec![];
                clap_complete::generate(shell, &mut Self::command(), "leadline", &mut script);
                output::write(&script)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Demo(demo) => demo.run().await,
            Command::Verb(verb) => Box::pin(verb.run()).await.map(|()| ExitCode::SUCCESS),
        }
    }
}

impl Rebuild {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let _telemetry = telemetry::init("leadline-rebuild", &self.telemetry)?;
        let platform = Platform::default();
        runtime::shutdown_on_signal(&platform.drain)?;
        let key = self.key.given()?;
        let journal = Journal::connect(&self.nats, &platform).await?;
        if let Some(key) = &key {
            self.key.confirm(key, &journal).await?;
        }
        let facts = query::rebuild(&self.options.query.read_model, key, &platform, &journal).await?;
        println!("rebuilt the read model from {facts} facts");
        Ok(ExitCode::SUCCESS)
    }
}

impl Compact {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let _telemetry = telemetry::init("leadline-compact", &self.telemetry)?;
        anyhow::ensure!(
            read_model::compact(self.database_url.as_deref()).await?,
            "--database-url is PostgreSQL, which uses free space again by itself; VACUUM FULL gives it back"
        );
        println!("compacted the read model");
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_command_line_has_a_variable() {
        Cli::command().debug_assert();
        let of_services = ["up", "ingest", "dispatcher", "notifier", "query", "maintenance", "rebuild", "compact"];
        for command in Cli::command().get_subcommands().filter(|c| of_services.contains(&c.get_name())) {
            for argument in command.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
                let flag = argument.get_long().unwrap();
                let variable = format!("LEADLINE_{}", flag.to_uppercase().replace('-', "_"));
                assert_eq!(argument.get_env().unwrap().to_str(), Some(variable.as_str()), "{flag}");
            }
        }
    }

    #[test]
    fn the_help_of_every_verb_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let leaf = !command.has_subcommands();
            assert!(!leaf || help.contains("Example"), "{path}");
            assert!(help.is_empty() || help.contains("leadline "), "{path}");
            command.get_subcommands().for_each(|command| check(command, &path));
        }
        Verb::augment_subcommands(clap::Command::new("leadline"))
            .get_subcommands()
            .for_each(|command| check(command, "leadline"));
    }
}
