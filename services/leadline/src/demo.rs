//! `leadline demo`: shows what the whole system does.
//!
//! The demo starts `leadline up` as a child process, and three receivers. It publishes leads, and observes their
//! deliveries over public interfaces only. The figures that it prints at the end are counted at the receivers.

mod stage;
pub(crate) mod system;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use api::{DeliveryFilter, DeliveryStatus};
use clap::Args;
use runtime::Drain;

use self::{
    stage::{Destination, Stage},
    system::System,
};

/// How long each step of the demo may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(120);
/// The number of publish calls that are repeated to show that a repeat stores nothing.
const REPEATED: usize = 10;

/// Send leads to three receivers and watch their deliveries.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many leads to publish
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    leads: u32,
    /// The nats-server program [default: the one on PATH]
    #[arg(long, env = "LEADLINE_NATS_SERVER", value_name = "FILE")]
    nats_server: Option<std::path::PathBuf>,
    /// Keep running at the end, and print a link to the console, which logs in once; Ctrl-C stops
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = tempfile::tempdir().context("cannot create a folder for the demo's data")?;
        let mut system = System::start(folder.path(), self.nats_server.as_deref()).await?;
        let result = self.play(&system).await;
        let stopped = system.stop().await;
        if result.is_err() {
            eprintln!("--- output of leadline up:\n{}---", system.log());
        }
        let faults = result?;
        stopped?;
        println!("Stopped.");
        Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs all steps, and returns the faults that it found.
    async fn play(&self, system: &System) -> anyhow::Result<Vec<String>> {
        let began = Instant::now();
        println!("Leadline is up: {} (HTTP), {} (gRPC)", system.http, system.grpc);
        let mut stage = Stage::set(system).await?;
        println!("Three destinations: {}\n", stage.names());

        let published = system.publish(self.leads).await?;
        println!("Published {} leads, each acknowledged by the broker.", published.stored);
        let repeated = system.publish_again(REPEATED).await?;
        println!("Published {} of them again: {} were stored twice.", REPEATED, repeated.stored);

        stage.wait_for(system, "healthy", DeliveryStatus::Succeeded, self.leads, STEP_TIMEOUT).await?;
        println!("healthy     accepted them all.");
        stage.wait_for(system, "recovering", DeliveryStatus::Succeeded, self.leads, STEP_TIMEOUT).await?;
        println!("recovering  answered the first request of each with 503, and accepted them all after retries.");
        stage.wait_for(system, "dead", DeliveryStatus::Failed, self.leads, STEP_TIMEOUT).await?;
        let emails = system.emails(self.leads as usize, STEP_TIMEOUT).await?;
        println!("dead        accepted none; {emails} emails report it.");

        stage.revive("dead").await?;
        let failed = system.deliveries(&stage.filter("dead", Some(DeliveryStatus::Failed))).await?;
        for delivery in &failed {
            system.retry(&delivery.delivery_id).await?;
        }
        println!("dead        works again; RetryDelivery was called for {} deliveries.", failed.len());
        stage.wait_for(system, "dead", DeliveryStatus::Succeeded, self.leads, STEP_TIMEOUT).await?;
        println!("dead        accepted them all.\n");
        let refused = system.retry(&failed.first().context("no delivery failed")?.delivery_id).await;
        ensure!(refused.is_err(), "a delivery that succeeded could be retried");

        let (facts, faults) = self.count(system, &stage, emails).await?;
        println!("{}", table(&facts));
        println!(
            "\nPublished {}, stored twice {}, emails {emails}, {:.1} s.",
            self.leads,
            repeated.stored,
            began.elapsed().as_secs_f64()
        );
        for fault in &faults {
            println!("FAULT: {fault}");
        }
        println!("{}", if faults.is_empty() { "Nothing lost." } else { "The demo failed." });
        if self.keep {
            // The receivers keep running as well.
            keep(system).await?;
        }
        Ok(faults)
    }

    /// Compares the counts of the receivers with what was published and with the read model.
    async fn count(&self, system: &System, stage: &Stage, emails: usize) -> anyhow::Result<(Vec<Facts>, Vec<String>)> {
        let (mut all, mut faults) = (vec![], vec![]);
        let mut check = |good: bool, fault: String| {
            if !good {
                faults.push(fault);
            }
        };
        for destination in stage.destinations() {
            let deliveries = system.deliveries(&stage.filter(destination.name, None)).await?;
            let facts = Facts::of(destination, &deliveries);
            let name = destination.name;
            check(facts.taken == self.leads, format!("{name} accepted {} of {} events", facts.taken, self.leads));
            check(facts.twice == 0, format!("{name} accepted {} events more than once", facts.twice));
            check(facts.badly_signed == 0, format!("{name} got {} requests with a bad signature", facts.badly_signed));
            check(facts.attempts == facts.requests, format!("{name}: attempts and requests differ: {facts:?}"));
            let unfinished = deliveries.iter().filter(|d| d.status() != DeliveryStatus::Succeeded).count();
            check(unfinished == 0, format!("{name} has {unfinished} deliveries that did not succeed"));
            check(
                deliveries.len() == self.leads as usize,
                format!("{name} has {} deliveries for {} events", deliveries.len(), self.leads),
            );
            all.push(facts);
        }
        check(emails == self.leads as usize, format!("{emails} emails for {} failed deliveries", self.leads));
        Ok((all, faults))
    }
}

/// The counts of one destination.
#[derive(Debug)]
struct Facts {
    name: &'static str,
    taken: u32,
    twice: u32,
    attempts: u32,
    requests: u32,
    badly_signed: u32,
    retries: u32,
}

impl Facts {
    fn of(destination: &Destination, deliveries: &[api::Delivery]) -> Self {
        let receiver = destination.receiver.as_ref();
        let (taken, twice) = receiver.map_or((0, 0), |receiver| receiver.taken());
        // At first nothing listened on the port, so every attempt before the retry reached no receiver.
        let unreceived: u32 = if destination.was_dead { deliveries.iter().map(|d| d.attempts - 1).sum() } else { 0 };
        Self {
            name: destination.name,
            taken,
            twice,
            attempts: deliveries.iter().map(|d| d.attempts).sum(),
            requests: receiver.map_or(0, |receiver| receiver.requests()) + unreceived,
            badly_signed: receiver.map_or(0, |receiver| receiver.badly_signed()),
            retries: deliveries.iter().map(|d| d.retries).sum(),
        }
    }
}

fn table(facts: &[Facts]) -> String {
    let mut lines = vec![format!(
        "{:<12}{:>10}{:>10}{:>16}{:>12}{:>15}",
        "destination", "delivered", "attempts", "manual retries", "duplicates", "bad signature"
    )];
    lines.extend(facts.iter().map(|f| {
        format!("{:<12}{:>10}{:>10}{:>16}{:>12}{:>15}", f.name, f.taken, f.attempts, f.retries, f.twice, f.badly_signed)
    }));
    lines.join("\n")
}

/// The number of deliveries in each status, in words.
fn by_status(deliveries: &[api::Delivery]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for delivery in deliveries {
        *counts.entry(delivery.status().as_str_name()).or_default() += 1;
    }
    counts.iter().map(|(status, count)| format!("{status} {count}")).collect::<Vec<_>>().join(", ")
}

/// Prints a link to the console, and waits for a signal.
async fn keep(system: &System) -> anyhow::Result<()> {
    let drain = Drain::default();
    runtime::shutdown_on_signal(&drain).context("cannot handle signals")?;
    println!(
        "\nLeadline and the three receivers keep running; Ctrl-C stops them. This link logs in to the console once:"
    );
    println!("console: {}", system.console_link().await?);
    drain.stopping().await;
    Ok(())
}

impl Stage {
    fn filter(&self, name: &str, status: Option<DeliveryStatus>) -> DeliveryFilter {
        let id = self.destinations().find(|d| d.name == name).map(|d| d.id.clone()).unwrap_or_default();
        DeliveryFilter {
            destination_id: id,
            statuses: status.into_iter().map(i32::from).collect(),
            ..DeliveryFilter::default()
        }
    }

    async fn wait_for(
        &self,
        system: &System,
        name: &str,
        status: DeliveryStatus,
        count: u32,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let give_up = Instant::now() + timeout;
        loop {
            let deliveries = system.deliveries(&self.filter(name, None)).await?;
            if deliveries.iter().filter(|d| d.status() == status).count() == count as usize {
                return Ok(());
            }
            ensure!(
                Instant::now() < give_up,
                "after {timeout:?}, {name} does not have {count} deliveries {}: {}",
                status.as_str_name(),
                by_status(&deliveries)
            );
            tokio::time::sleep(system::POLL_INTERVAL).await;
        }
    }
}
