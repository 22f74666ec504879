//! The options for settings of a destination. Settings without an option, and secrets, are read from the file of
//! `--from`.

use std::{io::Read as _, path::PathBuf, time::Duration};

use anyhow::Context as _;
use api::{destination::Body, duration_to_api, retry_policy::Policy};
use clap::Args;
use runtime::duration;
use serde_json::Value;

use super::{connection::ConnectionSettings, content::Content};
use crate::terminal::{errors::usage, output::from_json};

/// The options for settings of a destination.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// File with a Destination in JSON, as leadline destinations show --json prints it, for settings without an option;
    /// - reads standard input. Options take precedence. Put credentials there: others can see arguments
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Name of the destination
    #[arg(long)]
    name: Option<String>,
    /// URL of the receiver: https; path and query may be a template
    #[arg(long)]
    url: Option<String>,
    /// Only for the leads of this interface
    #[arg(long, value_name = "ID")]
    interface: Option<String>,
    /// Only for the leads of this client
    #[arg(long, value_name = "ID", conflicts_with = "interface")]
    client: Option<String>,
    /// Event types that it wants, or patterns such as 'email.*', separated by commas
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    events: Option<Vec<String>>,
    /// Condition on the payload of events, in JSON: '{"payload.country": {"in": ["DE", "AT"]}}'; '' accepts every event
    #[arg(long, value_name = "JSON")]
    condition: Option<String>,
    /// How long the receiver may take to answer
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// Concurrency limit: the maximum number of requests in flight
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Rate limit: the maximum number of requests a second; 0 for no limit
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Retry policy: standard, patient or manual
    #[arg(long, value_name = "NAME")]
    retry_policy: Option<String>,
    /// Token that signs its requests; '' removes it
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Send the events of each lead in order
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    ordered: Option<bool>,
    /// Method: POST, PUT or PATCH; GET or DELETE without a body
    #[arg(long)]
    method: Option<String>,
    /// Content of the header webhook-id: delivery (an id that is unique everywhere) or event (unique in the account)
    #[arg(long, value_name = "KIND")]
    webhook_id: Option<String>,
    /// Trace context in its requests: restart (a trace of the receiver's own), continue (the publisher's, with
    /// tracestate and baggage) or none
    #[arg(long, value_name = "KIND")]
    trace_context: Option<String>,
    /// Body preset: payload, envelope, slack, form or multipart
    #[arg(long, value_name = "NAME")]
    body: Option<String>,
    /// File with a template of the body
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    body_template: Option<PathBuf>,
    /// Header of its requests, 'Name: value'; may be given several times
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<api::Header>,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    connection: ConnectionSettings,
}

fn header(text: &str) -> Result<api::Header, String> {
    let (name, value) = text.split_once(':').ok_or("is not a header such as 'X-Tenant: 7'")?;
    Ok(api::Header { name: name.trim().to_owned(), value: value.trim().to_owned() })
}

impl Settings {
    /// Writes the given options into a destination, and returns the names of the fields.
    pub(super) fn apply(&self, destination: &mut api::Destination) -> anyhow::Result<Vec<String>> {
        let mut names = self.read(destination)?;
        names.extend(self.connection.apply(destination)?.into_iter().map(str::to_owned));
        let mut set = |field: &str| names.push(field.to_owned());
        let text = |given: &Option<String>, field: &'static str, into: &mut String| {
            given.as_ref().map(|value| {
                into.clone_from(value);
                field
            })
        };
        let texts = [
            text(&self.name, "name", &mut destination.name),
            text(&self.url, "url", &mut destination.url),
            text(&self.interface, "interface_id", &mut destination.interface_id),
            text(&self.client, "client_id", &mut destination.client_id),
            text(&self.token, "token_id", &mut destination.token_id),
            text(&self.method, "method", &mut destination.method),
            text(&self.condition, "condition", &mut destination.condition),
            text(&self.webhook_id, "webhook_id", &mut destination.webhook_id),
            text(&self.trace_context, "trace_context", &mut destination.trace_context),
        ];
        texts.into_iter().flatten().for_each(&mut set);
        if let Some(events) = &self.events {
            destination.event_types.clone_from(events);
            set("event_types");
        }
        if let Some(timeout) = self.timeout {
            destination.timeout = Some(duration_to_api(timeout));
            set("timeout");
        }
        if let Some(concurrency) = self.concurrency {
            destination.concurrency = concurrency;
            set("concurrency");
        }
        if let Some(rate) = self.rate {
            destination.rate = rate;
            set("rate");
        }
        if let Some(ordered) = self.ordered {
            destination.ordered = ordered;
            set("ordered");
        }
        if let Some(preset) = &self.retry_policy {
            destination.retry_policy = Some(api::RetryPolicy { policy: Some(Policy::Preset(preset.clone())) });
            set("retry_policy");
        }
        if let Some(body) = self.body()? {
            destination.body = Some(body);
            set("body");
        }
        if !self.headers.is_empty() {
            destination.headers.clone_from(&self.headers);
            set("headers");
        }
        self.content.apply(destination)?.into_iter().for_each(&mut set);
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn body(&self) -> anyhow::Result<Option<Body>> {
        let Some(file) = &self.body_template else { return Ok(self.body.clone().map(Body::BodyPreset)) };
        let template = std::fs::read_to_string(file);
        let template = template.with_context(|| format!("--body-template: {} cannot be read", file.display()))?;
        Ok(Some(Body::BodyTemplate(template)))
    }

    fn read(&self, destination: &mut api::Destination) -> anyhow::Result<Vec<String>> {
        let Some(file) = &self.from else { return Ok(vec![]) };
        let mut text = String::new();
        let read = if file.as_os_str() == "-" {
            std::io::stdin().read_to_string(&mut text).map(|_| ())
        } else {
            std::fs::read_to_string(file).map(|read| text = read)
        };
        read.with_context(|| format!("--from: {} cannot be read", file.display()))?;
        let wrong =
            |error: &dyn std::fmt::Display| usage(format!("--from: this is not a Destination in JSON: {error}"));
        let value: Value = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
        let names = value.as_object().map(|fields| fields.keys().map(|name| field(name)).collect::<Vec<_>>());
        *destination = from_json(value).map_err(|e| wrong(&e))?;
        let changes = |name: &String| !["account_id", "destination_id", "deactivated"].contains(&name.as_str());
        Ok(names.unwrap_or_default().into_iter().filter(changes).collect())
    }
}

/// The name of a field in a field mask; JSON has two ways to write it.
fn field(name: &str) -> String {
    let mut field = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            field.push('_');
        }
        field.push(letter.to_ascii_lowercase());
    }
    if field == "body_preset" || field == "body_template" { "body".to_owned() } else { field }
}
