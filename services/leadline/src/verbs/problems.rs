//! `leadline problems`: failures by destination and cause, and who acknowledged them.

use api::ProblemState;
use clap::{Args, Subcommand};

use super::deliveries::destination_id;
use crate::{
    remote::session::{ForAccount, Paging, Remote, Session, within},
    terminal::{
        output::{counted, print},
        table::{Cell, Tone, fixed, flexible, print_facts},
        time_args::shown,
    },
};

/// List failures by destination and cause, or acknowledge them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = "Example:\n  leadline problems --destination CRM")]
pub(crate) struct Problems {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List problems, of all accounts if the key is platform-wide, the one with the latest failure first
    #[command(after_help = "Example:\n  leadline problems list --closed")]
    List(List),
    /// Show a problem: what fails, since when, and what to do
    #[command(after_help = "Example:\n  leadline problems show CRM timeout")]
    Show(Named),
    /// Acknowledge a problem; others see that until the problem closes
    #[command(visible_alias = "acknowledge", after_help = "Example:\n  leadline problems ack CRM 503")]
    Ack(Named),
}

#[derive(Debug, Args)]
struct List {
    /// Only problems of this destination: its id or its name
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// Show closed problems, too
    #[arg(long)]
    closed: bool,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

/// A problem.
#[derive(Debug, Args)]
struct Named {
    /// The destination: its id or its name
    destination: String,
    /// The cause, as the list shows it: a status such as 503, or a word such as timeout
    cause: String,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Problems {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            None => self.list.run().await,
            Some(Verb::List(list)) => list.run().await,
            Some(Verb::Show(named)) => named.show().await,
            Some(Verb::Ack(named)) => named.acknowledge().await,
        }
    }
}

impl List {
    async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = session.own_account(&self.account).await?;
        let of_all = account_id.is_empty();
        let destination_id = match &self.destination {
            Some(named) => destination_id(&session, &self.account, named).await?,
            None => String::new(),
        };
        let columns = [
            fixed("LAST"),
            flexible("DESTINATION"),
            fixed("CAUSE"),
            fixed("STATE"),
            fixed("DELIVERIES"),
            fixed("LEADS"),
            fixed("SINCE"),
            flexible("ACKNOWLEDGED BY"),
        ];
        let columns: Vec<_> = of_all.then(|| flexible("ACCOUNT")).into_iter().chain(columns).collect();
        let row = |problem: &api::Problem| -> Vec<Cell> {
            let account: Option<Cell> = of_all.then(|| problem.account_id.as_str().into());
            let cells: [Cell; 8] = [
                shown(problem.last_at.as_ref()).into(),
                name(problem).into(),
                problem.cause.as_str().into(),
                state(problem),
                problem.deliveries.into(),
                problem.leads.into(),
                shown(problem.first_at.as_ref()).into(),
                problem.acknowledged_by.as_str().into(),
            ];
            account.into_iter().chain(cells).collect()
        };
        let page = async |page_size, page_token| {
            let request = api::ListProblemsRequest {
                account_id: account_id.clone(),
                destination_id: destination_id.clone(),
                include_closed: self.closed,
                page_size,
                page_token,
            };
            let page = session.problems().list_problems(within(request)).await?.into_inner();
            Ok((page.problems, page.next_page_token))
        };
        let of_account = if of_all { " --account ACCOUNT" } else { "" };
        let hint = format!("leadline problems show DESTINATION CAUSE{of_account} says what to do.");
        session.list_with_hint(&self.paging, columns, row, page, &hint).await
    }
}

impl Named {
    async fn show(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = session.own_account(&self.account).await?;
        let destination_id = destination_id(&session, &self.account, &self.destination).await?;
        let mut page_token = String::new();
        loop {
            let request = api::ListProblemsRequest {
                account_id: account_id.clone(),
                destination_id: destination_id.clone(),
                include_closed: true,
                page_size: 0,
                page_token,
            };
            let page = session.problems().list_problems(within(request)).await?.into_inner();
            if let Some(problem) = page.problems.iter().find(|problem| problem.cause == self.cause) {
                return print_problem(&session, problem);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                let what = format!("destination {destination_id} has no problem with the cause {}", self.cause);
                return Err(api::status::not_found("PROBLEM", what).into());
            }
        }
    }

    async fn acknowledge(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let destination_id = destination_id(&session, &self.account, &self.destination).await?;
        let cause = self.cause.clone();
        let request = api::AcknowledgeProblemRequest { account_id, destination_id, cause, requested_by: String::new() };
        let problem = session.problems().acknowledge_problem(within(request)).await?.into_inner();
        print_problem(&session, &problem)
    }
}

fn print_problem(session: &Session, problem: &api::Problem) -> anyhow::Result<()> {
    if session.out.is_json() {
        return session.out.json(problem);
    }
    let held = if problem.held { "the destination is switched off, so its deliveries are held" } else { "" };
    let acknowledged = match problem.acknowledged_by.as_str() {
        "" => String::new(),
        by => format!("{by}, {}", shown(problem.acknowledged_at.as_ref())),
    };
    let facts = vec![
        ("account", problem.account_id.as_str().into()),
        ("destination", super::deliveries::named(&problem.destination_name, &problem.destination_id).into()),
        ("cause", problem.cause.as_str().into()),
        ("state", state(problem)),
        ("acknowledged by", acknowledged.into()),
        ("first failure", shown(problem.first_at.as_ref()).into()),
        ("last failure", shown(problem.last_at.as_ref()).into()),
        ("closed", shown(problem.closed_at.as_ref()).into()),
        ("deliveries", format!("{} of {}", problem.deliveries, counted(problem.leads, "lead", "leads")).into()),
        ("for example", problem.example_delivery_id.as_str().into()),
        ("held", held.into()),
        ("to do", problem.suggested_action.as_str().into()),
    ];
    print_facts(&session.out, facts)?;
    if problem.state() != ProblemState::Closed {
        print("")?;
        let (account, destination) = (&problem.account_id, &problem.destination_id);
        print(&format!("To send them again: leadline retry --account {account} --destination {destination}"))?;
    }
    Ok(())
}

fn name(problem: &api::Problem) -> &str {
    if problem.destination_name.is_empty() { &problem.destination_id } else { &problem.destination_name }
}

fn state(problem: &api::Problem) -> Cell {
    let text = problem.state().as_str_name().trim_start_matches("PROBLEM_STATE_").to_lowercase();
    match problem.state() {
        ProblemState::Open => Cell::toned(text, Tone::Bad),
        ProblemState::Acknowledged | ProblemState::Recovering => Cell::toned(text, Tone::Waiting),
        ProblemState::Closed => Cell::toned(text, Tone::Good),
        ProblemState::Unspecified => text.into(),
    }
}
