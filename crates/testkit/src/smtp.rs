//! A mail server that keeps what it gets, and can be told to refuse or to leave its answer out.

use std::{
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

/// The longest line that is read. RFC 5321 section 4.5.3.1.6 asks for 1,000 bytes; longer ones break the connection.
const MAX_LINE: u64 = 64 * 1024;
/// The longest message that is read; a longer one breaks the connection.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whom it is from, by its envelope.
    pub from: String,
    /// Whom it is for, by its envelope.
    pub to: Vec<String>,
    /// The message, without what SMTP adds to carry it. Bytes that are no UTF-8 show as U+FFFD.
    pub raw: String,
}

#[derive(Debug, Default)]
struct State {
    mails: Vec<Mail>,
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
    /// Starts one on any free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// When the port is taken.
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
                    // A client that goes away in the middle is its own affair.
                    let _ = session(stream, &state).await;
                });
                while sessions.try_join_next().is_some() {}
            }
        }));
        Self { address, state, accepting }
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

    /// Takes the next `count` mails that it does not refuse, but closes the connection instead of saying so: the client
    /// cannot know that they were taken.
    pub fn hang_up_next(&self, count: usize) {
        lock(&self.state).hang_up = count;
    }

    /// Ends it in the middle of whatever it does, and returns once its port refuses connections; the next one may start
    /// on it. What it had taken is returned.
    pub async fn stop(mut self) -> Vec<Mail> {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        std::mem::take(&mut lock(&self.state).mails)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 5321, as far as a client needs it.
async fn session(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    writing.write_all(b"220 sink\r\n").await?;
    let (mut from, mut to) = (None, vec![]);
    while let Some(line) = line(&mut reading).await? {
        let line = String::from_utf8_lossy(&line);
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" | "RSET" => {
                (from, to) = (None, vec![]);
                "250 sink".to_owned()
            }
            "MAIL" if from.is_none() => {
                from = Some(address(&line));
                "250 ok".to_owned()
            }
            "RCPT" if from.is_some() => {
                to.push(address(&line));
                "250 ok".to_owned()
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

/// The next line without its end; `None` when the client has closed the connection.
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

/// A message up to its final dot, without the dots that RFC 5321 section 4.5.2 adds. One that breaks off is an error.
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

/// The answer; `None` is to hang up instead.
fn take(mail: Mail, state: &Mutex<State>) -> Option<String> {
    let mut state = lock(state);
    if state.refuse > 0 {
        state.refuse -= 1;
        return Some(state.refuse_with.clone());
    }
    state.mails.push(mail);
    if state.hang_up > 0 {
        state.hang_up -= 1;
        return None;
    }
    Some("250 taken".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends these bytes at once and returns everything that is answered until the server closes.
    async fn talk(sink: &SmtpSink, words: &str) -> String {
        let mut stream = TcpStream::connect(sink.address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        answers
    }

    fn mail(subject: &str) -> String {
        format!(
            "EHLO test\r\nMAIL FROM:<a@x.example> SIZE=9\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n\
             Subject: {subject}\r\n\r\n..dot\r\n...\r\n.\r\n"
        )
    }

    #[tokio::test]
    async fn keeps_mails_without_the_dots_of_the_transport() {
        let sink = SmtpSink::start().await;
        let answers = talk(&sink, &(mail("one") + "QUIT\r\n")).await;
        assert!(answers.ends_with("354 go on\r\n250 taken\r\n221 bye\r\n"), "{answers}");
        let [mail] = &sink.mails()[..] else { panic!("one mail: {:?}", sink.mails()) };
        assert_eq!(
            (mail.from.as_str(), &mail.to[..]),
            ("a@x.example", &["b@x.example".into(), "c@x.example".into()][..])
        );
        assert_eq!(mail.raw, "Subject: one\r\n\r\n.dot\r\n..\r\n");
    }

    #[tokio::test]
    async fn refuses_then_hangs_up_then_takes() {
        let sink = SmtpSink::start().await;
        sink.refuse_next(1, "451 not now");
        sink.hang_up_next(1);
        assert!(talk(&sink, &(mail("one") + "QUIT\r\n")).await.ends_with("451 not now\r\n221 bye\r\n"));
        assert_eq!(sink.mails().len(), 0);
        assert!(talk(&sink, &mail("two")).await.ends_with("354 go on\r\n"));
        assert_eq!(sink.mails().len(), 1);
        assert!(talk(&sink, &(mail("three") + "QUIT\r\n")).await.contains("250 taken"));
        assert_eq!(sink.mails().len(), 2);
    }

    #[tokio::test]
    async fn keeps_nothing_that_breaks_off_or_has_no_recipient() {
        let sink = SmtpSink::start().await;
        let mut stream = TcpStream::connect(sink.address).await.unwrap();
        let whole = mail("half");
        stream.write_all(whole.strip_suffix(".\r\n").unwrap().as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        assert!(answers.ends_with("354 go on\r\n"), "{answers}");
        let reset = "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRSET\r\nDATA\r\nNOOP\r\nQUIT\r\n";
        assert!(talk(&sink, reset).await.ends_with("503 not now\r\n250 ok\r\n221 bye\r\n"));
        assert_eq!(sink.mails().len(), 0);
    }

    #[tokio::test]
    async fn comes_back_on_the_same_port() {
        let sink = SmtpSink::start_on(port::free_port()).await;
        let (port, url) = (sink.address.port(), sink.url());
        sink.stop().await;
        let again = SmtpSink::start_on(port).await;
        assert_eq!(again.url(), url);
        assert_eq!(talk(&again, "QUIT\r\n").await, "220 sink\r\n221 bye\r\n");
    }
}
