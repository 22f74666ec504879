//! `leadline publish`: publishes lead events from a file or standard input, or one from the command line.
//!
//! It reads and sends events one after another, so a file may be larger than memory. Payloads are sent byte for byte.

use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal as _, Read as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail, ensure};
use api::publish_leads_result::Result as Outcome;
use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::deliveries::destination_id;
use crate::{
    remote::session::{ForAccount, Remote},
    terminal::{
        errors::{AlreadyReported, code_name, usage},
        output::{note, print},
        table::one_line,
        time_args::past,
    },
};

/// The maximum number of events that are read ahead.
const MAX_AHEAD: usize = 256;
/// The largest accepted array, in bytes: an array is read as a whole.
const MAX_ARRAY: u64 = 256 * 1024 * 1024;

/// The error if the server accepts no more events before all were sent.
const INTERRUPTED: &str =
    "the server accepts no more events; publish all of them again: events with an event_id are stored once";

/// Publish lead events: one from options, or all events of a file or of standard input.
///
/// A file has the format of POST /v1/leads: a JSON object, an array of objects, or one object after another (NDJSON).
/// Options supply the fields that an event does not have. Exit code 0: the broker has stored all; 1: some were refused,
/// and are shown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  leadline publish --file lead.json\n  \
                        leadline publish --interface contact-form --lead ada --payload '{\"name\": \"Ada\"}'\n  \
                        generate-leads | leadline publish --account acme --interface import")]
pub(crate) struct Publish {
    /// File with events; - reads standard input [default: standard input, unless there is a payload]
    #[arg(long, short, value_name = "FILE", conflicts_with = "payload")]
    file: Option<PathBuf>,
    /// The payload of one event: any JSON; - reads it from standard input
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// The interface: the form, page or campaign that the lead came from
    #[arg(long, value_name = "ID")]
    interface: Option<String>,
    /// The client: a customer of the account
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// A destination, by its id or its name: the events go to it alone; event types and conditions are ignored
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// Id of the lead [default: computed from the event id]
    #[arg(long, value_name = "ID", requires = "payload")]
    lead: Option<String>,
    /// Id of the event; a repeated call with the same id stores nothing [default: made by the server]
    #[arg(long, value_name = "ID", requires = "payload")]
    event: Option<String>,
    /// The type of the event [default: lead.created]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// When the event happened: 2h (ago), or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = past, requires = "payload")]
    occurred_at: Option<Timestamp>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

/// An event in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    account: Option<String>,
    interface: Option<String>,
    client: Option<String>,
    destination_id: Option<String>,
    event_id: Option<String>,
    lead_id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    occurred_at: Option<Timestamp>,
    payload: Box<RawValue>,
}

/// Counts the results of the events.
#[derive(Debug, Default)]
struct Tally {
    stored: u64,
    repeated: u64,
    refused: u64,
    last: Option<api::PublishLeadResponse>,
}

impl Publish {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.payload.is_none() && self.file.is_none() && std::io::stdin().is_terminal() {
            return Err(usage("nothing to publish: name a --file, or give a --payload"));
        }
        let one = self.payload.is_some().then(|| self.described()).transpose()?;
        let session = self.remote.connect().await?;
        let account = match &one {
            // A file may name the account of each event, and a key with the scope publish may not list accounts.
            None => session.own_account(&self.account).await?,
            Some(_) => session.account(&self.account).await?,
        };
        let destination_id = match &self.destination {
            Some(named) => destination_id(&session, &self.account, named).await?,
            None => String::new(),
        };
        let rest = api::PublishLeadRequest {
            account,
            interface: self.interface.clone().unwrap_or_default(),
            client: self.client.clone().unwrap_or_default(),
            destination_id,
            r#type: self.event_type.clone().unwrap_or_default(),
            ..api::PublishLeadRequest::default()
        };
        let (events, to_send) = mpsc::channel(MAX_AHEAD);
        let file = self.file.clone();
        // A separate thread, because standard input may never end; the process does not wait for the thread.
        let (done, mut reading) = oneshot::channel();
        std::thread::spawn(move || {
            let send = |event: Event| events.blocking_send(event.completed(&rest)).is_ok();
            let _ = done.send(one.map_or_else(|| read(file, send), |event| Ok(send(event).into())));
        });
        let mut answers =
            session.ingest().publish_leads(Request::new(ReceiverStream::new(to_send))).await?.into_inner();
        let mut tally = Tally::default();
        let ended = loop {
            match answers.message().await {
                Ok(None) => break Ok(()),
                Ok(Some(answer)) if session.out.is_json() => {
                    session.out.json_line(&answer)?;
                    tally.count(&answer);
                }
                Ok(Some(answer)) => tally.count_and_report(&answer),
                Err(status) => break Err(status),
            }
        };
        if !session.out.is_json() {
            tally.print()?;
        }
        ended.context(INTERRUPTED)?;
        // The reader reports the end of its input before the server can see the end of the stream.
        match reading.try_recv() {
            Ok(read) => {
                let read = read.with_context(|| format!("after {} events", tally.all()))?;
                ensure!(read.is_complete && read.events == tally.all(), INTERRUPTED);
            }
            Err(_) => bail!(INTERRUPTED),
        }
        if tally.refused > 0 { Err(AlreadyReported.into()) } else { Ok(()) }
    }

    fn described(&self) -> anyhow::Result<Event> {
        let mut text = self.payload.clone().unwrap_or_default();
        if text == "-" {
            text.clear();
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        }
        let payload =
            RawValue::from_string(text.trim().to_owned()).map_err(|e| usage(format!("--payload is not JSON: {e}")))?;
        Ok(Event {
            account: None,
            interface: None,
            client: None,
            destination_id: None,
            event_id: self.event.clone(),
            lead_id: self.lead.clone(),
            event_type: None,
            occurred_at: self.occurred_at,
            payload,
        })
    }
}

impl Event {
    /// Fills the missing fields of the event from `rest`.
    fn completed(self, rest: &api::PublishLeadRequest) -> api::PublishLeadRequest {
        let or = |own: Option<String>, other: &String| own.unwrap_or_else(|| other.clone());
        api::PublishLeadRequest {
            account: or(self.account, &rest.account),
            interface: or(self.interface, &rest.interface),
            client: or(self.client, &rest.client),
            destination_id: or(self.destination_id, &rest.destination_id),
            event_id: self.event_id.unwrap_or_default(),
            lead_id: self.lead_id.unwrap_or_default(),
            r#type: or(self.event_type, &rest.r#type),
            occurred_at: self.occurred_at.map(api::timestamp_to_api),
            payload: self.payload.get().as_bytes().to_vec().into(),
        }
    }
}

/// How much of the input was read and sent.
#[derive(Debug)]
struct Read {
    events: u64,
    /// Whether all of the input was sent.
    is_complete: bool,
}

impl From<bool> for Read {
    fn from(sent: bool) -> Self {
        Self { events: u64::from(sent), is_complete: sent }
    }
}

impl Tally {
    fn all(&self) -> u64 {
        self.stored + self.repeated + self.refused
    }

    fn count(&mut self, answer: &api::PublishLeadsResult) {
        match &answer.result {
            Some(Outcome::Published(published)) => {
                self.repeated += u64::from(published.duplicate);
                self.stored += u64::from(!published.duplicate);
                self.last = Some(published.clone());
            }
            Some(Outcome::Refused(_)) => self.refused += 1,
            None => {}
        }
    }

    /// Counts an answer, and prints a refused event with its reason.
    fn count_and_report(&mut self, answer: &api::PublishLeadsResult) {
        self.count(answer);
        if let Some(Outcome::Refused(refused)) = &answer.result {
            let code = code_name(refused.code.into());
            note(&format!("Event {} is refused ({code}): {}", answer.index + 1, one_line(&refused.message)));
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        match (self, &self.last) {
            (Self { stored: 1, repeated: 0, refused: 0, .. }, Some(one)) => {
                print(&format!("Event {} of lead {} is stored.", one.event_id, one.lead_id))
            }
            (Self { stored: 0, repeated: 1, refused: 0, .. }, Some(one)) => {
                print(&format!("Event {} of lead {} was stored before.", one.event_id, one.lead_id))
            }
            (Self { stored, repeated, refused, .. }, _) => {
                print(&format!("Stored: {stored}. Stored before: {repeated}. Refused: {refused}."))
            }
        }
    }
}

/// Reads events one after another; `send` returns whether to read more.
fn read(file: Option<PathBuf>, send: impl Fn(Event) -> bool) -> anyhow::Result<Read> {
    let mut text: Box<dyn BufRead> = match &file {
        Some(path) if path.as_os_str() != "-" => {
            let opened = File::open(path).with_context(|| format!("--file: {} cannot be read", path.display()))?;
            Box::new(BufReader::new(opened))
        }
        _ => Box::new(BufReader::new(std::io::stdin())),
    };
    let mut read = Read { events: 0, is_complete: true };
    let mut take = |event: Event| {
        read.is_complete = send(event);
        read.events += u64::from(read.is_complete);
        read.is_complete
    };
    if begins_with_bracket(&mut text)? {
        let array = std::io::Read::take(text, MAX_ARRAY);
        let events: Vec<Event> = serde_json::from_reader(array).context("this is not an array of events")?;
        events.into_iter().all(take);
        return Ok(read);
    }
    for event in serde_json::Deserializer::from_reader(text).into_iter::<Event>() {
        if !take(event.context("this is not an event")?) {
            break;
        }
    }
    Ok(read)
}

/// Whether the first character after white space is a bracket. It consumes white space only.
fn begins_with_bracket(text: &mut impl BufRead) -> anyhow::Result<bool> {
    loop {
        let seen = text.fill_buf().context("the events cannot be read")?;
        let blank = seen.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank < seen.len() || seen.is_empty() {
            return Ok(seen.get(blank) == Some(&b'['));
        }
        text.consume(blank);
    }
}
