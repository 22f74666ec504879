//! `leadline destinations test-condition`: tests whether a condition holds for a payload.

use std::io::Read as _;

use anyhow::Context as _;
use clap::{ArgGroup, Args};

use crate::{
    remote::session::{ForAccount, Remote, within},
    terminal::{
        errors::{AlreadyReported, usage},
        output::print,
    },
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("tested").required(true).args(["destination", "condition"])))]
pub(super) struct TestCondition {
    /// The destination whose condition to test: its id or its name
    destination: Option<String>,
    /// A condition in JSON, as in --condition of create and update
    #[arg(long, value_name = "JSON")]
    condition: Option<String>,
    /// The payload in JSON; - reads standard input
    #[arg(long, value_name = "JSON")]
    payload: String,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl TestCondition {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut payload = self.payload.clone();
        if payload == "-" {
            payload.clear();
            std::io::stdin().read_to_string(&mut payload).context("standard input cannot be read")?;
        }
        if self.condition.as_deref().is_some_and(|text| text.trim().is_empty()) {
            return Err(usage("--condition is empty: an empty condition holds for every payload"));
        }
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let destination_id = match &self.destination {
            Some(named) => session.destination(&account_id, named).await?.destination_id,
            None => String::new(),
        };
        let condition = self.condition.unwrap_or_default();
        let request =
            api::TestConditionRequest { account_id, destination_id, condition, payload: payload.into_bytes() };
        let answer = session.registry().test_condition(within(request)).await?.into_inner();
        if session.out.is_json() {
            session.out.json(&answer)?;
        } else if answer.holds {
            print("The condition holds.")?;
        } else {
            print(&format!("The condition does not hold: {}: {}.", answer.unmet, answer.reason))?;
        }
        if answer.holds { Ok(()) } else { Err(AlreadyReported.into()) }
    }
}
