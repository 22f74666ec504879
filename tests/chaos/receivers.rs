//! The receivers of a run. They record each request in the ledger before they answer.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use testkit::{Answer, Process, Receiver, free_port, receiver::Seen};

use crate::{
    expectations::{Manner, Want},
    ledger::{Ledger, Receipt},
    plan::Seeded,
    program::{SOON, program},
};

/// The time that a slow receiver takes to answer.
const SLOW: Duration = Duration::from_millis(150);
/// Requests per second that a limited receiver accepts.
const LIMIT: usize = 15;

/// The receiver of one destination. Its port never changes.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) want: Want,
    port: u16,
    seed: u64,
    ledger: Ledger,
    open: Mutex<Open>,
}

#[derive(Debug)]
enum Open {
    Closed,
    Here(Receiver),
    /// A separate process, and the number of its requests in the ledger.
    Program(Process, usize),
}

impl Desk {
    pub(crate) fn new(want: Want, seed: u64, ledger: &Ledger) -> Self {
        Self { want, port: free_port(), seed, ledger: ledger.clone(), open: Mutex::new(Open::Closed) }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.want.manner == Manner::Late
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) async fn open(&self) {
        let open = if self.is_late() {
            let address = format!("127.0.0.1:{}", self.port);
            let env: [(&str, &str); 0] = [];
            let process = Process::start("leadline listen", program(), ["listen", "--address", &address], env);
            process.wait_line("listening on", SOON).await;
            Open::Program(process, 0)
        } else {
            let receiver = Receiver::start_on(self.port).await;
            receiver.answer_by(decide(self.want, self.seed, self.ledger.clone()));
            Open::Here(receiver)
        };
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }

    /// Sends SIGKILL, or closes all connections of a receiver in this process.
    pub(crate) async fn kill(&self) {
        self.read_up();
        let open = std::mem::replace(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner), Open::Closed);
        match open {
            Open::Closed => {}
            Open::Here(receiver) => receiver.stop().await,
            Open::Program(process, read) => {
                process.kill();
                self.enter(&process, read);
            }
        }
    }

    /// Records the requests that a separate process has printed since the last call.
    pub(crate) fn read_up(&self) {
        if let Open::Program(process, read) = &mut *self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            *read = self.enter(process, *read);
        }
    }

    fn enter(&self, process: &Process, read: usize) -> usize {
        let output = process.output();
        let whole = output.rfind("\n\n").map_or("", |end| &output[..end]);
        let requests: Vec<_> = whole.split("\n\n").filter_map(printed).collect();
        for (event, at) in requests.iter().skip(read) {
            self.ledger.received(self.want.name, event, Receipt { at: *at, taken: true });
        }
        requests.len()
    }
}

/// Event and time of a request, from the output of `leadline listen`.
fn printed(text: &str) -> Option<(String, Instant)> {
    let event = text.lines().find_map(|line| line.trim().strip_prefix("leadline-event-id: "))?;
    let at = text.lines().find_map(|line| line.split(' ').next()?.parse::<Timestamp>().ok())?;
    let ago = SystemTime::now().duration_since(at.into()).unwrap_or_default();
    Some((event.to_owned(), Instant::now().checked_sub(ago)?))
}

fn decide(want: Want, seed: u64, ledger: Ledger) -> impl Fn(&Seen) -> Answer + Send + Sync {
    let recent = Mutex::new(VecDeque::new());
    move |seen| {
        let event = seen.header("leadline-event-id");
        let answer = match want.manner {
            Manner::Takes | Manner::Late => Answer::Status(200),
            Manner::Slow => Answer::After(SLOW, Box::new(Answer::Status(200))),
            Manner::Flaky => {
                let request = format!("{}/{event}/{}", want.name, ledger.times(want.name, event));
                match Seeded::of(seed, &request).below(10) {
                    0 => Answer::Status(503),
                    1 => Answer::Reset,
                    _ => Answer::Status(200),
                }
            }
            Manner::Limited if is_too_much(&recent, seen.at) => {
                Answer::With(429, vec![("retry-after", "1".into())], bytes::Bytes::new())
            }
            Manner::Limited => Answer::Status(200),
            Manner::Refuses => Answer::Status(500),
        };
        let taken = match &answer {
            Answer::Status(status) => *status == 200,
            answer => matches!(answer, Answer::After(..)),
        };
        ledger.received(want.name, event, Receipt { at: seen.at, taken });
        answer
    }
}

fn is_too_much(recent: &Mutex<VecDeque<Instant>>, now: Instant) -> bool {
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    while recent.front().is_some_and(|at| now.saturating_duration_since(*at) > Duration::from_secs(1)) {
        recent.pop_front();
    }
    let too_much = recent.len() >= LIMIT;
    if !too_much {
        recent.push_back(now);
    }
    too_much
}
