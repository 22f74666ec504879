//! `leadline destinations list` and `health`: the health of destinations.

use std::collections::HashMap;

use api::{HealthState, LaneState};
use clap::Args;
use tonic::Code;

use super::{
    named::Named,
    view::{scope, state},
};
use crate::{
    remote::session::{ForAccount, Paging, Remote, Session, within},
    terminal::{
        table::{Cell, Tone, fixed, flexible, print_facts},
        time_args::{lasted, shown},
    },
};

const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl List {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let health = if session.out.is_json() { HashMap::new() } else { all(&session, &account_id).await? };
        let columns = [
            fixed("DESTINATION"),
            flexible("NAME"),
            fixed("STATE"),
            fixed("HEALTH"),
            fixed("LAST HOUR"),
            fixed("WAIT"),
            flexible("FOR"),
            flexible("EVENTS"),
            flexible("URL"),
        ];
        let row = |destination: &api::Destination| {
            let of = health.get(&destination.destination_id).cloned().unwrap_or_default();
            vec![
                destination.destination_id.as_str().into(),
                destination.name.as_str().into(),
                state(destination),
                word(of.state()),
                last_hour(&of),
                (of.waiting + of.held).into(),
                scope(destination).into(),
                destination.event_types.join(" ").into(),
                destination.url.as_str().into(),
            ]
        };
        session
            .list(&Paging::ALL, columns, row, async |page_size, page_token| {
                let request = api::ListDestinationsRequest {
                    account_id: account_id.clone(),
                    page_size,
                    page_token,
                    name: String::new(),
                };
                let page = session.registry().list_destinations(within(request)).await?.into_inner();
                Ok((page.destinations, page.next_page_token))
            })
            .await
    }
}

/// The health of every destination of an account, by its id; empty if an older server does not have this method.
async fn all(session: &Session, account: &str) -> anyhow::Result<HashMap<String, api::DestinationHealth>> {
    let (mut found, mut page_token) = (HashMap::new(), String::new());
    loop {
        let request = api::ListDestinationHealthRequest { account_id: account.to_owned(), page_size: PAGE, page_token };
        let page = match session.problems().list_destination_health(within(request)).await {
            Ok(page) => page.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => return Ok(HashMap::new()),
            Err(status) => return Err(status.into()),
        };
        found.extend(page.health.into_iter().map(|of| (of.destination_id.clone(), of)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    named: Named,
}

impl Health {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (session, found) = self.named.found().await?;
        let (account_id, destination_id) = (found.account_id, found.destination_id);
        let request = api::GetDestinationHealthRequest { account_id, destination_id };
        let of = session.problems().get_destination_health(within(request)).await?.into_inner();
        if session.out.is_json() {
            return session.out.json(&of);
        }
        let lane = of.lane.clone().unwrap_or_default();
        let tone = match lane.state() {
            LaneState::Open | LaneState::Unspecified => Tone::Plain,
            _ => Tone::Waiting,
        };
        let receiver = match &of.p50 {
            Some(_) => format!("half within {}, 95 of 100 within {}", lasted(of.p50.as_ref()), lasted(of.p95.as_ref())),
            None => String::new(),
        };
        let facts = vec![
            ("destination", super::super::deliveries::named(&of.destination_name, &of.destination_id).into()),
            ("health", word(of.state())),
            ("summary", of.summary.as_str().into()),
            ("since", shown(of.since.as_ref()).into()),
            ("deliveries", format!("{} succeeded, {} failed", of.succeeded, of.failed).into()),
            ("attempts", format!("{}, {} of them failed", of.attempts, of.failed_attempts).into()),
            ("answers", answers(&of.answers.unwrap_or_default()).into()),
            ("response time", receiver.into()),
            ("last success", shown(of.last_success_at.as_ref()).into()),
            ("last failure", shown(of.last_failure_at.as_ref()).into()),
            ("failures in a row", of.failures_in_a_row.into()),
            ("waiting", of.waiting.into()),
            ("held", of.held.into()),
            ("oldest waiting since", shown(of.oldest_waiting_at.as_ref()).into()),
            ("lane", Cell::toned(lane.summary, tone)),
            ("switched off by", of.switched_off_by.as_str().into()),
            ("switched off at", shown(of.switched_off_at.as_ref()).into()),
        ];
        print_facts(&session.out, facts)
    }
}

/// How many attempts got which kind of answer; empty without attempts.
fn answers(of: &api::AnswerCounts) -> String {
    let api::AnswerCounts { http_2xx, http_3xx, http_4xx, http_5xx, none } = *of;
    let all = [("2xx", http_2xx), ("3xx", http_3xx), ("4xx", http_4xx), ("5xx", http_5xx), ("none", none)];
    let some = all.iter().filter(|(_, count)| *count > 0).map(|(answer, count)| format!("{answer}: {count}"));
    some.collect::<Vec<_>>().join(", ")
}

pub(crate) fn word(state: HealthState) -> Cell {
    let text = state.as_str_name().trim_start_matches("HEALTH_STATE_").to_lowercase();
    match state {
        HealthState::Unspecified => "".into(),
        HealthState::Healthy => Cell::toned(text, Tone::Good),
        HealthState::Failing | HealthState::Deactivated => Cell::toned(text, Tone::Bad),
        HealthState::Disabled => Cell::toned(text, Tone::Waiting),
        HealthState::Idle => text.into(),
    }
}

/// The outcomes of the deliveries of the last hour.
pub(crate) fn last_hour(of: &api::DestinationHealth) -> Cell {
    match (of.succeeded, of.failed) {
        (0, 0) if of.failed_attempts > 0 => Cell::toned(format!("{} attempts failed", of.failed_attempts), Tone::Bad),
        (0, 0) => "".into(),
        (succeeded, 0) => format!("{succeeded} ok").into(),
        (succeeded, failed) => Cell::toned(format!("{succeeded} ok, {failed} failed"), Tone::Bad),
    }
}
