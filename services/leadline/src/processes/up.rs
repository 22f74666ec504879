//! `leadline up`: all services in one process, with its own broker and database by default.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use console_http::links::{SESSION_LIFETIME, after, link};
use crypto::MasterKey;
use domain::access::{Bounds, Holder, Scope};
use journal::{Journal, NatsOptions};
use runtime::{Addresses, Listeners, Platform, Service, metrics, telemetry};
use serde_json::json;

use crate::{
    api_keys,
    processes::{
        broker::{Broker, Healing},
        compose,
        data_dir::DataDir,
        master_key::KeyOptions,
        network::NetworkOptions,
        read_side::ReadSideOptions,
    },
};

/// Name of the file with the addresses of the running system.
pub(crate) const ADDRESSES: &str = "addresses.json";

/// The options of all services, and the folder for their data.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Folder for all data
    #[arg(long, env = "LEADLINE_DATA_DIR", default_value = ".leadline", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// The nats-server program to start [default: the one on PATH]
    #[arg(long, env = "LEADLINE_NATS_SERVER", value_name = "FILE")]
    nats_server: Option<PathBuf>,
    #[command(flatten)]
    listeners: Listeners,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    ingest: ingest::Options,
    #[command(flatten)]
    dispatcher: dispatcher::Options,
    #[command(flatten)]
    notifier: notifier::Options,
    #[command(flatten)]
    read_side: ReadSideOptions,
}

/// The administrator's access to the system.
struct Administrator {
    /// The file with the API key.
    key_file: PathBuf,
    /// A link that logs in to the console once.
    console_link: String,
}

impl Up {
    pub(crate) async fn run(mut self) -> anyhow::Result<ExitCode> {
        let _telemetry = telemetry::init("leadline", &self.listeners.telemetry)?;
        metrics::name_destinations(self.listeners.metrics_destinations);
        let data_dir = DataDir::open(&self.data_dir)?;
        data_dir.remove(ADDRESSES);
        let key = self.key.or_kept_in(&data_dir)?;
        self.fill_in(&data_dir)?;

        let platform = compose::platform()?;
        let broker = match &self.nats.nats_url {
            Some(_) => None,
            None => {
                anyhow::ensure!(
                    self.nats.nats_ca.is_none() && self.nats.nats_cert.is_none(),
                    "--nats-ca and --nats-cert are for a broker that runs elsewhere; give its URL with --nats-url"
                );
                let broker = Broker::start(&data_dir, self.nats_server.as_deref(), self.nats.nats_flush, &platform)?;
                self.nats.nats_url = Some(broker.url().to_owned());
                Some(broker)
            }
        };
        let healing = broker.as_ref().map(Broker::healing);
        let ended = self.serve(key, &data_dir, healing, &platform).await;
        // The broker stops last, because services still store the outcomes of work in flight.
        if let Some(broker) = broker {
            broker.stop().await;
        }
        data_dir.remove(ADDRESSES);
        ended
    }

    fn fill_in(&mut self, data_dir: &DataDir) -> anyhow::Result<()> {
        if self.read_side.query.read_model.database_url.is_none() {
            let file = data_dir.path().join("leadline.db");
            let file = file.to_str().context("--data-dir: the name of the folder is not UTF-8")?;
            self.read_side.query.read_model.database_url = Some(format!("sqlite:{file}?mode=rwc"));
        }
        self.notifier.outbox.get_or_insert_with(|| data_dir.path().join("outbox"));
        // This process serves the console, too.
        if let (Some(public_url), None) = (&self.notifier.public_url, &self.notifier.console_url) {
            self.notifier.console_url = Some(format!("{}/console", public_url.trim_end_matches('/')));
        }
        Ok(())
    }

    async fn serve(
        &self,
        key: MasterKey,
        data_dir: &DataDir,
        healing: Option<Healing>,
        platform: &Platform,
    ) -> anyhow::Result<ExitCode> {
        let started = self.start(key, data_dir, healing, platform).await;
        let (addresses, admin) = match started {
            Ok(started) => started,
            Err(error) => {
                platform.drain.stop();
                platform.drain.finished(self.listeners.drain_deadline).await;
                return Err(error);
            }
        };
        compose::announce("leadline", addresses, platform).await;
        if !platform.drain.is_stopping() {
            // The key itself is neither printed nor logged.
            let file = admin.key_file.display();
            println!("the administrator's API key is in {file}; the other commands find it there");
            println!("console: {}", admin.console_link);
            data_dir.write(ADDRESSES, &self.addresses(addresses))?;
        }
        Ok(compose::finish(platform, &self.listeners).await)
    }

    async fn start(
        &self,
        key: MasterKey,
        data_dir: &DataDir,
        healing: Option<Healing>,
        platform: &Platform,
    ) -> anyhow::Result<(Addresses, Administrator)> {
        let journal = Journal::connect(&self.nats, platform).await?;
        if let Some(healing) = healing {
            healing.start(journal.clone(), &platform.drain);
        }
        self.key.confirm(&key, &journal).await?;
        let (key_file, key_id) = api_keys::admin_key_in(data_dir, &journal).await?;
        let console = &self.read_side.query.console;
        let sessions = compose::sessions(self.notifier.public_url.as_deref(), console, &key, platform)?;
        let guard = self.network.guard();
        let mut services: Vec<Service> = vec![
            ingest::start(&self.ingest, Some(sessions.clone()), platform, &journal).await?,
            dispatcher::start(&self.dispatcher, guard.clone(), key.clone(), platform, &journal).await?,
            notifier::start(&self.notifier, Some(key.clone()), platform, &journal).await?,
        ];
        services.extend(self.read_side.start(true, guard, key, sessions.clone(), platform, &journal).await?);
        let addresses = runtime::serve(&self.listeners, services, compose::api()?, platform).await?;
        let bounds = Bounds {
            account: None,
            client: None,
            scopes: [Scope::Admin, Scope::Payload].into_iter().collect(),
            until: after(SESSION_LIFETIME),
            person: String::new(),
            is_portal: false,
        };
        let console_link = link(&sessions, Holder::Key(key_id), bounds).url;
        Ok((addresses, Administrator { key_file, console_link }))
    }

    fn addresses(&self, addresses: Addresses) -> Vec<u8> {
        let written = json!({
            "http": addresses.http_url(),
            "grpc": addresses.grpc_url(),
            "metrics": addresses.metrics_url(),
            "nats": self.nats.nats_url,
            "database": self.read_side.query.read_model.database_url,
            "outbox": self.notifier.outbox,
        });
        format!("{written:#}\n").into_bytes()
    }
}
