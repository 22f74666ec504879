//! The processes that are killed: each service as a separate process, a broker, a database, a mail server and
//! receivers. Each restarts on its old port.

use std::{
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use access::{AuthChannel, AuthInterceptor};
use testkit::{NatsCluster, NatsServer, Process, SmtpSink, free_port, postgres::Postgres, smtp::Mail, wait};
use tonic::transport::Channel;

use crate::{
    expectations::WANTS,
    ledger::Ledger,
    program::{SOON, program},
    receivers::Desk,
};

/// How often a service may exit at its start because a dependency is away. A supervisor would restart it.
const MAX_STARTS: usize = 20;
/// Texts that no log may have: those of a panic and of the reconciler's repairs.
const ALARMS: [&str; 3] = ["panicked", "requested missing delivery", "restored the lost work"];
/// The key that seals secrets.
const MASTER_KEY: &str = "bGVhZGxpbmUgYW5kIGNoYW9zIGFuZCAzMiBieXRlcyE=";

/// The settings of a stage.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) brokers: Brokers,
    /// The number of processes of each service.
    pub(crate) of_each: usize,
    /// Further environment variables of the services.
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) seed: u64,
}

/// All processes of a run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) brokers: Brokers,
    pub(crate) database: Postgres,
    pub(crate) database_url: String,
    pub(crate) services: Vec<Service>,
    pub(crate) desks: Vec<Desk>,
    mail: MailServer,
    pub(crate) key: String,
    api: AuthChannel,
}

#[derive(Debug)]
pub(crate) enum Brokers {
    One(NatsServer),
    Three(NatsCluster),
}

/// A process that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Service(usize),
    Broker(usize),
    Database,
    Mail,
    Receiver(usize),
}

/// A service that runs as a separate process.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) http: String,
    pub(crate) grpc: String,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
    process: Mutex<Option<Process>>,
    /// Panics and unexpected ends.
    trouble: Mutex<Vec<String>>,
    gave_up: Mutex<usize>,
}

#[derive(Debug)]
struct MailServer {
    port: u16,
    sink: Mutex<Option<SmtpSink>>,
    taken: Mutex<Vec<Mail>>,
}

impl Stage {
    /// Starts everything except the late receiver.
    pub(crate) async fn start(shape: Shape, ledger: &Ledger) -> Self {
        let brokers = shape.brokers;
        let database = Postgres::start().await;
        let database_url = database.database().await;
        let mail = MailServer { port: free_port(), sink: Mutex::default(), taken: Mutex::default() };
        mail.start().await;
        let mut env = vec![
            ("LEADLINE_NATS_URL", brokers.url()),
            ("LEADLINE_MASTER_KEY", MASTER_KEY.to_owned()),
            ("LEADLINE_DATABASE_URL", database_url.clone()),
            ("LEADLINE_SMTP_URL", format!("smtp://127.0.0.1:{}", mail.port)),
            // A mail for each failure, to compare mails with deliveries.
            ("LEADLINE_NOTICE_WINDOW", "0s".to_owned()),
            ("LEADLINE_MAILS_PER_ACCOUNT", "0".into()),
            ("LEADLINE_MAILS_PER_RECIPIENT", "0".into()),
            ("LEADLINE_RECONCILE_AFTER", "3s".to_owned()),
        ];
        env.extend(shape.env);
        let key = bootstrap(&env).await;
        let kinds = ["ingest", "dispatcher", "notifier", "query", "maintenance"];
        let all = kinds.into_iter().flat_map(|kind| (1..=shape.of_each).map(move |number| (kind, number)));
        let services: Vec<_> = all.map(|(kind, number)| Service::new(kind, number, &env)).collect();
        let desks = WANTS.iter().map(|want| Desk::new(*want, shape.seed, ledger)).collect();
        let api = api(&services, &key);
        let stage = Self { brokers, database, database_url, services, desks, mail, key, api };
        for desk in stage.desks.iter().filter(|desk| !desk.is_late()) {
            desk.open().await;
        }
        for service in &stage.services {
            service.start().await;
        }
        stage
    }

    /// The receiver that starts late.
    pub(crate) fn late(&self) -> Victim {
        Victim::Receiver(self.desks.iter().position(Desk::is_late).unwrap())
    }

    /// All processes that can be killed. The late receiver is the last.
    pub(crate) fn victims(&self) -> Vec<Victim> {
        let mut victims: Vec<_> = (0..self.services.len()).map(Victim::Service).collect();
        victims.extend((0..self.brokers.servers().len()).map(Victim::Broker));
        victims.extend([Victim::Database, Victim::Mail]);
        let prompt = self.desks.iter().position(|desk| desk.want.is_prompt).unwrap();
        victims.extend([Victim::Receiver(prompt), self.late()]);
        victims
    }

    pub(crate) fn name_of(&self, victim: Victim) -> String {
        match victim {
            Victim::Service(number) => self.services[number].name.clone(),
            Victim::Broker(number) if self.brokers.servers().len() > 1 => format!("broker {number}"),
            Victim::Broker(_) => "broker".into(),
            Victim::Database => "database".into(),
            Victim::Mail => "mail server".into(),
            Victim::Receiver(number) => format!("receiver {}", self.desks[number].want.name),
        }
    }

    pub(crate) async fn kill(&self, victim: Victim) {
        match victim {
            Victim::Service(number) => self.services[number].kill(),
            Victim::Broker(number) => self.brokers.servers()[number].kill(),
            Victim::Database => self.database.kill(),
            Victim::Mail => self.mail.kill().await,
            Victim::Receiver(number) => self.desks[number].kill().await,
        }
    }

    /// Restarts the victim, and returns once it is ready. The result is the time of the start.
    pub(crate) async fn revive(&self, victim: Victim) -> Instant {
        let started = Instant::now();
        match victim {
            Victim::Service(number) => self.services[number].start().await,
            Victim::Broker(number) => self.brokers.servers()[number].restart().await,
            Victim::Database => self.database.restart().await,
            Victim::Mail => self.mail.start().await,
            Victim::Receiver(number) => self.desks[number].open().await,
        }
        started
    }

    pub(crate) fn services_of(&self, kind: &str) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(move |service| service.name.starts_with(kind))
    }

    /// The API of the first query service, which may be away.
    pub(crate) fn api(&self) -> AuthChannel {
        self.api.clone()
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        let mut mails = lock(&self.mail.taken).clone();
        mails.extend(lock(&self.mail.sink).as_ref().map(SmtpSink::mails).unwrap_or_default());
        mails
    }

    /// Records the requests of receivers that are separate processes.
    pub(crate) fn read_up(&self) {
        self.desks.iter().for_each(Desk::read_up);
    }

    /// Unexpected ends and panics of services.
    pub(crate) fn trouble(&self) -> Vec<String> {
        self.services.iter().for_each(Service::look);
        self.services.iter().flat_map(|service| lock(&service.trouble).clone()).collect()
    }

    /// How often services exited at their start because a dependency was away.
    pub(crate) fn gave_up(&self) -> usize {
        self.services.iter().map(|service| *lock(&service.gave_up)).sum()
    }

    /// Rebuilds the read model in a new database, and returns its URL.
    pub(crate) async fn rebuilt(&self) -> String {
        let database = self.database.database().await;
        let args = ["rebuild", "--nats-url", &self.brokers.url(), "--database-url", &database];
        let output = tokio::process::Command::new(program()).args(args).stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        database
    }
}

impl Brokers {
    pub(crate) fn servers(&self) -> &[NatsServer] {
        match self {
            Self::One(server) => std::slice::from_ref(server),
            Self::Three(cluster) => cluster.servers(),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::One(server) => server.url(),
            Self::Three(cluster) => cluster.url(),
        }
    }
}

impl Service {
    fn new(kind: &'static str, number: usize, env: &[(&'static str, String)]) -> Self {
        let [http, grpc] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let mut args: Vec<_> = [kind, "--http", &http, "--grpc", &grpc].map(str::to_owned).into();
        args.extend(
            match kind {
                "dispatcher" => &["--allow-network", "127.0.0.0/8"][..],
                "query" => &["--allow-network", "127.0.0.0/8", "--allow-plain-http", "--no-maintenance"],
                _ => &[],
            }
            .iter()
            .map(ToString::to_string),
        );
        Self {
            name: format!("{kind} {number}"),
            http: format!("http://{http}"),
            grpc: format!("http://{grpc}"),
            args,
            env: env.to_vec(),
            process: Mutex::default(),
            trouble: Mutex::default(),
            gave_up: Mutex::default(),
        }
    }

    /// Starts the service and returns once it is ready. Repeats the start while the service exits because a dependency
    /// is away.
    pub(crate) async fn start(&self) {
        for _ in 0..MAX_STARTS {
            let process = Process::start(&self.name, program(), &self.args, self.env.clone());
            let ready = wait::attempt(SOON, async || {
                let ended = !process.is_running();
                if process.output().contains("is ready:") { Some(true) } else { ended.then_some(false) }
            });
            let ready = ready.await.unwrap_or_else(|_| panic!("{} is not ready:\n{}", self.name, process.output()));
            if ready {
                *lock(&self.process) = Some(process);
                return;
            }
            *lock(&self.gave_up) += 1;
        }
        panic!("{} gave up starting {MAX_STARTS} times", self.name);
    }

    pub(crate) fn kill(&self) {
        self.look();
        if let Some(process) = lock(&self.process).take() {
            process.kill();
        }
    }

    /// Records panics and unexpected ends.
    fn look(&self) {
        let process = lock(&self.process);
        let Some(process) = &*process else { return };
        let mut trouble = lock(&self.trouble);
        if !process.is_running() {
            trouble.push(format!("{} ended by itself:\n{}", self.name, process.output()));
        }
        let output = process.output();
        // The reconciler must not have repaired anything either: no kill loses a request or work.
        let alarms = output.lines().filter(|line| ALARMS.iter().any(|alarm| line.contains(alarm)));
        trouble.extend(alarms.map(|line| format!("{}: {line}", self.name)));
    }
}

impl MailServer {
    async fn start(&self) {
        let sink = SmtpSink::start_on(self.port).await;
        *lock(&self.sink) = Some(sink);
    }

    async fn kill(&self) {
        let sink = lock(&self.sink).take();
        if let Some(sink) = sink {
            let taken = sink.stop().await;
            lock(&self.taken).extend(taken);
        }
    }
}

/// One connection, opened at first use and after each loss.
fn api(services: &[Service], key: &str) -> AuthChannel {
    let query = services.iter().find(|service| service.name.starts_with("query")).unwrap();
    AuthInterceptor::new(key).unwrap().over(Channel::from_shared(query.grpc.clone()).unwrap().connect_lazy())
}

/// Creates the first API key.
async fn bootstrap(env: &[(&'static str, String)]) -> String {
    let mut command = Command::new(program());
    command.args(["keys", "bootstrap"]).envs(env.iter().cloned()).stdin(Stdio::null());
    let made = tokio::process::Command::from(command).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
