//! `leadline deliveries request`: renders the request of an attempt again. Prints rendered requests, also for previews.

use clap::Args;

use crate::{
    remote::session::{Remote, Session, within},
    terminal::{
        output::{harmless, note, print},
        time_args::shown,
    },
};

#[derive(Debug, Args)]
pub(super) struct AttemptRequest {
    /// The delivery
    #[arg(value_name = "DELIVERY")]
    delivery_id: String,
    /// The id of an attempt [default: the latest]
    #[arg(long, value_name = "ID")]
    attempt: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl AttemptRequest {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let attempt_id = self.attempt.unwrap_or_default();
        let request = api::GetAttemptRequestRequest { delivery_id: self.delivery_id, attempt_id };
        let answer = session.deliveries().get_attempt_request(within(request)).await?.into_inner();
        if session.out.is_json() {
            return session.out.json(&answer);
        }
        if answer.settings_changed_at.is_some() {
            let at = shown(answer.settings_changed_at.as_ref());
            note(&format!("The settings of the destination were changed at {at}, after the attempt."));
        }
        match (answer.body_matches, answer.url_matches) {
            (Some(true), true) => note("URL and body are the same as in the attempt."),
            (Some(false), _) | (_, false) => note("URL or body differ from those of the attempt."),
            (None, true) => note("It is not known whether the body is the same as in the attempt."),
        }
        print_request(&session, &answer.request.unwrap_or_default())
    }
}

pub(in crate::verbs) fn print_request(session: &Session, request: &api::RenderedRequest) -> anyhow::Result<()> {
    if session.out.is_json() {
        return session.out.json(request);
    }
    print(&format!("{} {}", request.method, harmless(&request.url)))?;
    for header in &request.headers {
        print(&format!("{}: {}", header.name, harmless(&header.value)))?;
    }
    print("")?;
    print(&harmless(&String::from_utf8_lossy(&request.body)))
}
