//! A mail server that keeps mails and counts requests. Tests can make it refuse a step, a recipient or mails over a
//! quota, or omit its answer.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::port;

/// The maximum size of a line, in bytes; RFC 5321 section 4.5.3.1.6 requires 1,000. A longer line breaks the
/// connection.
const MAX_LINE: u64 = 64 * 1024;
/// The maximum size of a message, in bytes. A longer message breaks the connection.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// An accepted mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The sender of its envelope.
    pub from: String,
    /// The recipients of its envelope.
    pub to: Vec<String>,
    /// The message without SMTP framing. Bytes that are not UTF-8 become U+FFFD.
    pub raw: String,
}

/// A step that the server can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The connection.
    Greeting,
    /// `EHLO`.
    Hello,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`.
    Data,
}

#[derive(Debug, Default)]
struct State {
    mails: Vec<Mail>,
    sessions: usize,
    hellos: Vec<String>,
    tries: Vec<String>,
    refused_steps: HashMap<Step, String>,
    refused_recipients: HashMap<String, String>,
    /// The number of further mails that it accepts, and its answer after them.
    quota: Option<(usize, String)>,
    refuse: usize,
    refuse_with: String,
    hang_up: usize,
}

/// A mail server on a loopback port. It ends, with its sessions, when it is dropped.
#[derive(Debug)]
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: AbortOnDropHandle<()>,
}

impl SmtpSink {
    /// Starts a mail server on any free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts a mail server on this port.
    ///
    /// # Panics
    /// If the port is taken.
    pub async fn start_on(port: u16) -> Self {
        let listener = port::listen(port).await;
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                sessions.spawn(async move {
                    // A client that disconnects early is not a failure of the server.
                    let _ = session(stream, &state).await;
                });
                while sessions.try_join_next().is_some() {}
            }
        }));
        Self { address, state, accepting }
    }

    /// Its URL, for `--smtp-url`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The accepted mails, the oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.state).mails.clone()
    }

    /// The number of its connections so far.
    pub fn sessions(&self) -> usize {
        lock(&self.state).sessions
    }

    /// The names in the greetings of clients.
    pub fn hellos(&self) -> Vec<String> {
        lock(&self.state).hellos.clone()
    }

    /// The recipient of each `RCPT`, accepted or refused.
    pub fn tries(&self) -> Vec<String> {
        lock(&self.state).tries.clone()
    }

    /// Refuses this step with this answer, until [`SmtpSink::accept`].
    pub fn refuse_at(&self, step: Step, answer: &str) {
        lock(&self.state).refused_steps.insert(step, answer.to_owned());
    }

    /// Refuses this recipient with this answer, until [`SmtpSink::accept`].
    pub fn refuse_recipient(&self, recipient: &str, answer: &str) {
        lock(&self.state).refused_recipients.insert(recipient.to_owned(), answer.to_owned());
    }

    /// Accepts `count` more mails, and then refuses every recipient with this answer, until [`SmtpSink::accept`].
    pub fn take_only(&self, count: usize, answer: &str) {
        lock(&self.state).quota = Some((count, answer.to_owned()));
    }

    /// Ends all refusals.
    pub fn accept(&self) {
        let mut state = lock(&self.state);
        (state.quota, state.refuse) = (None, 0);
        state.refused_steps.clear();
        state.refused_recipients.clear();
    }

    /// Refuses the next `count` mails with this answer, such as `451 not now` or `550 never`.
    pub fn refuse_next(&self, count: usize, answer: &str) {
        let mut state = lock(&self.state);
        (state.refuse, state.refuse_with) = (count, answer.to_owned());
    }

    /// Accepts the next `count` mails that it does not refuse, but closes the connection instead of answering: the
    /// client cannot know that they were accepted.
    pub fn hang_up_next(&self, count: usize) {
        lock(&self.state).hang_up = count;
    }

    /// Ends the server at once. It returns the accepted mails after its port refuses connections, so that another
    /// server may start on the port.
    pub async fn stop(mut self) -> Vec<Mail> {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        std::mem::take(&mut lock(&self.state).mails)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the part of RFC 5321 that clients need.
async fn session(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    lock(state).sessions += 1;
    if let Some(answer) = refused(state, Step::Greeting) {
        return writing.write_all(format!("{answer}\r\n").as_bytes()).await;
    }
    writing.write_all(b"220 sink\r\n").await?;
    let (mut from, mut to) = (None, vec![]);
    while let Some(line) = line(&mut reading).await? {
        let line = String::from_utf8_lossy(&line);
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" if greeted(&line, state).is_some() => refused(state, Step::Hello).unwrap_or_default(),
            "EHLO" | "HELO" | "RSET" => {
                (from, to) = (None, vec![]);
                "250 sink".to_owned()
            }
            "MAIL" if refused(state, Step::Greeting).or(refused(state, Step::Hello)).is_some() => {
                // A server whose configuration changes does not continue its open connections.
                return writing.write_all(b"421 bye\r\n").await;
            }
            "MAIL" if from.is_none() && refused(state, Step::Sender).is_some() => {
                refused(state, Step::Sender).unwrap_or_default()
            }
            "MAIL" if from.is_none() => {
                from = Some(address(&line));
                "250 ok".to_owned()
            }
            "RCPT" if from.is_some() => {
                let answer = recipient(&address(&line), state);
                if answer.is_none() {
                    to.push(address(&line));
                }
                answer.unwrap_or_else(|| "250 ok".to_owned())
            }
            "DATA" if !to.is_empty() && refused(state, Step::Data).is_some() => {
                refused(state, Step::Data).unwrap_or_default()
            }
            "DATA" if !to.is_empty() => {
                let raw = message(&mut reading, &mut writing).await?;
                let mail = Mail { from: from.take().unwrap_or_default(), to: std::mem::take(&mut to), raw };
                match take(mail, state) {
                    Some(answer) => answer,
                    None => return Ok(()),
                }
            }
            "MAIL" | "RCPT" | "DATA" => "503 not now".to_owned(),
            "NOOP" => "250 ok".to_owned(),
            "QUIT" => return writing.write_all(b"221 bye\r\n").await,
            _ => "502 what?".to_owned(),
        };
        writing.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn refused(state: &Mutex<State>, step: Step) -> Option<String> {
    lock(state).refused_steps.get(&step).cloned()
}

/// Records a greeting. Returns the answer if it is refused.
fn greeted(line: &str, state: &Mutex<State>) -> Option<String> {
    let name = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    lock(state).hellos.push(name);
    refused(state, Step::Hello)
}

/// Records a recipient. Returns the answer if it is refused.
fn recipient(address: &str, state: &Mutex<State>) -> Option<String> {
    let mut state = lock(state);
    state.tries.push(address.to_owned());
    let over = state.quota.as_ref().filter(|(left, _)| *left == 0).map(|(_, answer)| answer.clone());
    let refused = state.refused_recipients.get(address).or(state.refused_steps.get(&Step::Recipient)).cloned();
    over.or(refused)
}

/// The next line without its end; `None` if the client has closed the connection.
async fn line(reading: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = vec![];
    if reading.take(MAX_LINE).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.pop_if(|last| *last == b'\r');
    Ok(Some(line))
}

/// Reads a message up to its final dot, without the dots that RFC 5321 section 4.5.2 adds. An incomplete message is an
/// error.
async fn message(reading: &mut BufReader<OwnedReadHalf>, writing: &mut OwnedWriteHalf) -> io::Result<String> {
    writing.write_all(b"354 go on\r\n").await?;
    let mut message = vec![];
    while message.len() <= MAX_MESSAGE {
        let line = line(reading).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line == b"." {
            return Ok(String::from_utf8_lossy(&message).into_owned());
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        message.extend_from_slice(b"\r\n");
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

/// The answer; `None` if the server closes the connection instead.
fn take(mail: Mail, state: &Mutex<State>) -> Option<String> {
    let mut state = lock(state);
    if state.refuse > 0 {
        state.refuse -= 1;
        return Some(state.refuse_with.clone());
    }
    if let Some((left, _)) = &mut state.quota {
        *left = left.saturating_sub(1);
    }
    state.mails.push(mail);
    if state.hang_up > 0 {
        state.hang_up -= 1;
        return None;
    }
    Some("250 taken".to_owned())
}

#[cfg(test)]
mod tests;
