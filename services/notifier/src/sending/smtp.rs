//! The SMTP client: it sends each command separately, because the refused command shows what a refusal is about.
//!
//! The transport of lettre hides the command. So this module has its own pool of at most [`MAX_CONNECTIONS`]
//! connections.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lettre::{
    Address, Message,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::ClientId,
        response::Response,
    },
};
use runtime::{ErrorChain, causes};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

use crate::sending::refusal::Stage;

/// How long the mail server may take for one step.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum number of open connections: mail providers allow this number by default.
const MAX_CONNECTIONS: usize = 8;
/// The maximum number of connections for mails without precedence. The others are free for failure notices.
const MAX_ORDINARY: usize = MAX_CONNECTIONS / 2;
/// How long an idle connection is kept. Servers close them after a minute or more.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// Why the mail server did not take a mail.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    /// The code of the reply; `None` if there was no reply.
    pub(crate) code: Option<u16>,
    pub(crate) text: String,
}

enum Tls {
    Never,
    IfOffered(TlsParameters),
    Required(TlsParameters),
    Wrapped(TlsParameters),
}

pub(crate) struct MailServer {
    host: String,
    port: u16,
    tls: Tls,
    hello: ClientId,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    all: Semaphore,
    ordinary: Semaphore,
}

impl std::fmt::Debug for MailServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailServer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl MailServer {
    /// The mail server of a URL. The client greets it with the path of the URL, or with `hello` if there is none.
    pub(crate) fn new(url: &str, hello: &str) -> anyhow::Result<Self> {
        // The URL may hold a password, so no error quotes it.
        let url = Url::parse(url).context("it is not a URL")?;
        let host = url.host_str().filter(|host| !host.is_empty()).context("it names no host")?.to_owned();
        let parameters = || TlsParameters::new(host.clone());
        let wanted = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (tls, port) = match (url.scheme(), wanted.as_deref()) {
            ("smtp", None) => (Tls::Never, 25),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), 587),
            ("smtp", Some("opportunistic")) => (Tls::IfOffered(parameters()?), 587),
            ("smtps", _) => (Tls::Wrapped(parameters()?), 465),
            _ => anyhow::bail!("it has to begin with smtp: or smtps:; ?tls= has to be required or opportunistic"),
        };
        let named = url.path().trim_matches('/');
        let hello = ClientId::Domain(if named.is_empty() { hello } else { named }.to_owned());
        let credentials = url.password().map(|password| Credentials::new(decoded(url.username()), decoded(password)));
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            tls,
            hello,
            credentials,
            idle: Mutex::default(),
            all: Semaphore::new(MAX_CONNECTIONS),
            ordinary: Semaphore::new(MAX_ORDINARY),
        })
    }

    /// Waits until a connection is free, then runs `sending`.
    pub(crate) async fn in_turn<T>(&self, precedence: bool, sending: impl Future<Output = T>) -> T {
        // Neither semaphore is ever closed.
        let _ordinary = if precedence { None } else { self.ordinary.acquire().await.ok() };
        let _one = self.all.acquire().await.ok();
        sending.await
    }

    /// Returns once the server has taken the mail.
    pub(crate) async fn send(&self, from: &Address, to: &Address, mail: &Message) -> Result<(), Failure> {
        let body = mail.formatted();
        if let Some(mut connection) = self.take_idle() {
            match deliver(&mut connection, from, to, &body).await {
                Ok(()) => return self.keep(connection),
                // The server closed the idle connection. That is no refusal of this mail.
                Err(failure) if failure.stage == Stage::Sender && matches!(failure.code, None | Some(421)) => {}
                Err(failure) => return Err(self.keep_after(connection, failure).await),
            }
        }
        let mut connection = self.connect().await?;
        match deliver(&mut connection, from, to, &body).await {
            Ok(()) => self.keep(connection),
            Err(failure) => Err(self.keep_after(connection, failure).await),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let wrapped = if let Tls::Wrapped(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let connecting = async {
            let server = (self.host.as_str(), self.port);
            let connecting =
                AsyncSmtpConnection::connect_tokio1(server, Some(SMTP_TIMEOUT), &self.hello, wrapped, None);
            let mut connection = connecting.await?;
            match &self.tls {
                Tls::Required(parameters) => connection.starttls(parameters.clone(), &self.hello).await?,
                Tls::IfOffered(parameters) if connection.can_starttls() => {
                    connection.starttls(parameters.clone(), &self.hello).await?;
                }
                Tls::Never | Tls::IfOffered(_) | Tls::Wrapped(_) => {}
            }
            if let Some(credentials) = &self.credentials {
                connection.auth(DEFAULT_MECHANISMS, credentials).await?;
            }
            Ok(connection)
        };
        step(Stage::Connection, connecting).await
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < MAX_IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) -> Result<(), Failure> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
        Ok(())
    }

    /// Keeps the connection for the next mail if the server accepts `RSET` after the refusal.
    async fn keep_after(&self, mut connection: AsyncSmtpConnection, failure: Failure) -> Failure {
        let can_continue = failure.code.is_some_and(|code| code != 421) && !connection.has_broken();
        let is_reset = can_continue && step(Stage::Connection, connection.command(Rset)).await.is_ok();
        if is_reset {
            let _ = self.keep(connection);
        } else {
            let _ = timeout(SMTP_TIMEOUT, connection.abort()).await;
        }
        failure
    }
}

async fn deliver(
    connection: &mut AsyncSmtpConnection,
    from: &Address,
    to: &Address,
    body: &[u8],
) -> Result<(), Failure> {
    step(Stage::Sender, connection.command(Mail::new(Some(from.clone()), vec![]))).await?;
    step(Stage::Recipient, connection.command(Rcpt::new(to.clone(), vec![]))).await?;
    step(Stage::Data, connection.command(Data)).await?;
    step::<Response>(Stage::Data, connection.message(body)).await.map(drop)
}

async fn step<T>(
    stage: Stage,
    doing: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Failure> {
    match timeout(SMTP_TIMEOUT, doing).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            // The error itself names the class of the reply and then repeats the reply, so its cause is used.
            let reply = causes(&error).nth(1).map_or_else(|| error.to_string(), ErrorChain::chain);
            let code = error.status().map(u16::from);
            let text = code.map_or_else(|| reply.clone(), |code| format!("{code} {reply}"));
            Err(Failure { stage, code, text })
        }
        Err(_) => Err(Failure { stage, code: None, text: format!("no answer within {SMTP_TIMEOUT:?}") }),
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
