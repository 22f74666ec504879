//! A mail server that keeps what it gets, and can be told to refuse.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whom it is from, by its envelope.
    pub from: String,
    /// Whom it is for, by its envelope.
    pub to: Vec<String>,
    /// The message.
    pub raw: String,
}

#[derive(Debug, Default)]
struct State {
    mails: Vec<Mail>,
    refuse: usize,
    refuse_with: String,
}

/// A mail server on a loopback port. It is gone when it is dropped.
#[derive(Debug)]
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: AbortHandle,
}

impl SmtpSink {
    /// Starts one on any free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// When the port is taken.
    pub async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap_or_else(|error| panic!("port {port} cannot be listened on: {error}"));
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                sessions.spawn(async move {
                    // A client that goes away in the middle is its own affair.
                    let _ = session(stream, &state).await;
                });
                while sessions.try_join_next().is_some() {}
            }
        });
        Self { address, state, accepting: accepting.abort_handle() }
    }

    /// Where it is, as Leadline wants it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What it has taken, the oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.state).mails.clone()
    }

    /// Refuses the next `count` mails with this answer, such as `451 not now` or `550 never`.
    pub fn refuse_next(&self, count: usize, answer: &str) {
        let mut state = lock(&self.state);
        (state.refuse, state.refuse_with) = (count, answer.to_owned());
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 5321, as far as a client needs it.
async fn session(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 sink\r\n").await?;
    let mut mail = Mail { from: String::new(), to: vec![], raw: String::new() };
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" => "250 sink".to_owned(),
            "MAIL" => {
                mail = Mail { from: address(&line), to: vec![], raw: String::new() };
                "250 ok".to_owned()
            }
            "RCPT" => {
                mail.to.push(address(&line));
                "250 ok".to_owned()
            }
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await?;
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    mail.raw.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.raw.push_str("\r\n");
                }
                take(&mail, state)
            }
            "QUIT" => {
                return writing.write_all(b"221 bye\r\n").await;
            }
            "RSET" | "NOOP" => "250 ok".to_owned(),
            _ => "502 what?".to_owned(),
        };
        writing.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

fn take(mail: &Mail, state: &Mutex<State>) -> String {
    let mut state = lock(state);
    if state.refuse > 0 {
        state.refuse -= 1;
        return state.refuse_with.clone();
    }
    state.mails.push(mail.clone());
    "250 taken".to_owned()
}
