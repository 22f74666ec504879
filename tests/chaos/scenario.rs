//! The run: publishers publish while every process is killed, first one by one, then without waiting for restarts.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use testkit::{NatsServer, wait};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout_at,
};

use crate::{
    audit::compare,
    expectations::{Ending, WANTS},
    ledger::{Ledger, Outage},
    plan::{one_by_one, storm},
    publishers::Publishers,
    read_back::{enable, quiet, set_up},
    report::Report,
    stage::{Brokers, Shape, Stage, Victim},
};

/// How long deliveries may take after a restart. The actual time is measured and reported; this limit only ends a run
/// in which deliveries are missing.
const RECOVERY: Duration = Duration::from_secs(180);
/// How long the system may take to finish all work after the last kill: a fixed time, and more for each event.
const SETTLING: Duration = Duration::from_secs(120);
const SETTLING_EACH: Duration = Duration::from_millis(20);
/// The minimum number of kills in a storm, and the minimum number of events for each further kill. On a slow machine,
/// no event would be accepted during an endless storm.
const MIN_BLOWS: usize = 6;
const EVENTS_FOR_A_BLOW: usize = 40;
/// The default number of events, and events per second.
pub(crate) const EVENTS: usize = 800;
const RATE: usize = 50;

/// Seed and load of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) events: usize,
    pub(crate) rate: usize,
}

impl Settings {
    /// `LEADLINE_CHAOS_SEED`, `LEADLINE_CHAOS_EVENTS` and `LEADLINE_CHAOS_RATE`.
    pub(crate) fn from_env(events: usize) -> Self {
        let number = |name: &str| -> Option<u64> {
            let text = std::env::var(format!("LEADLINE_CHAOS_{name}")).ok().filter(|text| !text.is_empty())?;
            Some(text.parse().unwrap_or_else(|_| panic!("LEADLINE_CHAOS_{name} is {text:?}, which is not a number")))
        };
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // A seed with few digits is easy to type.
        let seed = number("SEED").unwrap_or_else(|| u64::from(now().subsec_micros()));
        let at_least_one = |number: u64| usize::try_from(number.max(1)).unwrap();
        let events = number("EVENTS").map_or(events, at_least_one);
        Self { seed, events, rate: number("RATE").map_or(RATE, at_least_one) }
    }
}

/// A stage with running publishers.
pub(crate) struct Fire {
    name: &'static str,
    settings: Settings,
    pub(crate) stage: Stage,
    pub(crate) ledger: Ledger,
    destinations: HashMap<&'static str, String>,
    publishers: Publishers,
    began: Instant,
    _alone: MutexGuard<'static, ()>,
}

/// One run at a time: two would slow each other down, and each reports times.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Fire {
    /// Starts a run with one process of each service.
    pub(crate) async fn light(name: &'static str, settings: Settings) -> Self {
        let brokers = Brokers::One(NatsServer::start().await);
        Self::light_on(name, settings, Shape { brokers, of_each: 1, env: vec![], seed: settings.seed }).await
    }

    pub(crate) async fn light_on(name: &'static str, settings: Settings, shape: Shape) -> Self {
        let alone = ALONE.lock().await;
        println!("chaos: {name}, seed {} (LEADLINE_CHAOS_SEED={} repeats it)", settings.seed, settings.seed);
        let (ledger, began) = (Ledger::default(), Instant::now());
        let stage = Stage::start(shape, &ledger).await;
        let destinations = set_up(&stage).await;
        let publishers = Publishers::start(&stage, &ledger, settings.seed, settings.rate);
        Self { name, settings, stage, ledger, destinations, publishers, began, _alone: alone }
    }

    /// Kills the victims at once, restarts them, and waits until all events accepted before are delivered.
    pub(crate) async fn kill_alone(&self, victims: &[Victim], away: Duration) {
        let outages = join_all(victims.iter().map(|victim| strike(&self.stage, *victim, away))).await;
        self.back(outages).await;
    }

    /// Waits, after the end of these outages, until all events accepted by then are delivered.
    pub(crate) async fn back(&self, outages: Vec<Outage>) {
        let back = outages.iter().map(|outage| outage.to).max().unwrap();
        let delivered = wait::attempt(RECOVERY, async || {
            let awaited = self.ledger.awaited_from_before(back);
            if awaited == 0 { Ok(()) } else { Err(awaited) }
        });
        if let Err(awaited) = delivered.await {
            let who: Vec<_> = outages.iter().map(|outage| &outage.who).collect();
            let seed = self.settings.seed;
            panic!(
                "{awaited} deliveries did not come within {RECOVERY:?} after the restart of {who:?}; repeat with LEADLINE_CHAOS_SEED={seed}"
            );
        }
        for outage in outages {
            self.ledger.outage(Outage { alone: true, ..outage });
        }
    }

    /// Starts the late receiver, and waits until enough events are accepted.
    pub(crate) async fn go_on(&self) {
        self.stage.revive(self.stage.late()).await;
        self.until_enough().await;
    }

    /// Waits until further events are accepted: the number that is published in this time without faults.
    pub(crate) async fn burns_for(&self, time: Duration) {
        let more = self.settings.rate * usize::try_from(time.as_millis()).unwrap() / 1_000;
        let enough = self.ledger.count_accepted() + more;
        wait::until("more events to be accepted", RECOVERY, async || self.ledger.count_accepted() >= enough).await;
    }

    async fn until_enough(&self) {
        let within = RECOVERY + Duration::from_secs((self.settings.events / self.settings.rate) as u64) * 4;
        let enough = async || self.ledger.count_accepted() >= self.settings.events;
        wait::until("enough events to be accepted", within, enough).await;
    }

    /// Kills random victims until enough events are accepted. It skips victims that are already away.
    pub(crate) async fn storm(&self, victims: &[Victim]) {
        let (mut away, mut absent) = (FuturesUnordered::new(), vec![]);
        for (number, blow) in storm(self.settings.seed, victims.len()).enumerate() {
            let enough = self.ledger.count_accepted() >= self.settings.events;
            if number >= MIN_BLOWS && (enough || number >= self.settings.events / EVENTS_FOR_A_BLOW) {
                break;
            }
            let strike_at = tokio::time::Instant::now() + blow.pause;
            while let Ok(back) = timeout_at(strike_at, next(&mut away)).await {
                let (victim, outage): (usize, Outage) = back;
                absent.retain(|absent| *absent != victim);
                self.ledger.outage(outage);
            }
            for victim in blow.victims {
                if !absent.contains(&victim) {
                    absent.push(victim);
                    let (stage, who) = (&self.stage, victims[victim]);
                    away.push(async move { (victim, strike(stage, who, blow.away).await) });
                }
            }
        }
        while let Some((_, outage)) = away.next().await {
            self.ledger.outage(outage);
        }
        self.until_enough().await;
    }

    /// Stops publishing, waits until all work is done, and compares.
    pub(crate) async fn out(self) {
        let Self { name, settings, stage, ledger, destinations, publishers, began, _alone } = self;
        publishers.stop().await;
        let within = SETTLING + SETTLING_EACH * u32::try_from(ledger.count_accepted()).unwrap();
        let mut awaited = ledger.wanted();
        let held = awaited.iter().filter(|(want, _)| want.ends == Ending::Held).count();
        // Events that are still missing are lost; the comparison reports them.
        let _ = wait::attempt(within, async || {
            stage.read_up();
            while awaited.pop_if(|(want, event)| !ledger.lacks(want, event)).is_some() {}
            awaited.is_empty()
        })
        .await;
        let rest = quiet(&stage, held, within).await;
        let mut findings = compare(&stage, &ledger, &destinations).await;
        findings.faults.extend(rest.err().map(|rest| format!("work still waits: {rest}")));
        let report = Report { name, seed: settings.seed, took: began.elapsed(), gave_up: stage.gave_up(), findings };
        report.tell(&ledger);
        release_held(&stage, &ledger, &destinations, held).await;
    }
}

/// Enables the destinations with held deliveries, and waits until the deliveries arrive.
async fn release_held(stage: &Stage, ledger: &Ledger, destinations: &HashMap<&str, String>, held: usize) {
    let before = ledger.count_received();
    for want in WANTS.iter().filter(|want| want.ends == Ending::Held) {
        enable(stage, want.account, &destinations[want.name]).await;
    }
    wait::until_eq("the held deliveries", SETTLING, held, async || ledger.count_received() - before).await;
}

/// The next future that ends. Pending forever if there is none.
async fn next<F: Future>(in_flight: &mut FuturesUnordered<F>) -> F::Output {
    match in_flight.next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

pub(crate) async fn strike(stage: &Stage, victim: Victim, away: Duration) -> Outage {
    let from = Instant::now();
    stage.kill(victim).await;
    tokio::time::sleep(away).await;
    let started = stage.revive(victim).await;
    Outage { who: stage.name_of(victim), from, started, to: Instant::now(), alone: false }
}

/// One process of each service: while it is away, no other process does its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_accepted_event_is_lost() {
    let settings = Settings::from_env(EVENTS);
    let fire = Fire::light("one of each", settings).await;
    let victims = fire.stage.victims();
    let (late, others) = victims.split_last().unwrap();
    for blow in one_by_one(settings.seed, others.len()) {
        fire.burns_for(blow.pause).await;
        fire.kill_alone(&[others[blow.victims[0]]], blow.away).await;
    }
    fire.stage.revive(*late).await;
    fire.storm(&victims).await;
    fire.out().await;
}

/// Two processes of each service: both are killed at once; then a storm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_both_processes_of_a_service_die() {
    let settings = Settings::from_env(EVENTS / 2);
    let brokers = Brokers::One(NatsServer::start().await);
    let shape = Shape { brokers, of_each: 2, env: vec![], seed: settings.seed };
    let fire = Fire::light_on("two of each", settings, shape).await;
    let victims = fire.stage.victims();
    let services = victims.iter().filter(|victim| matches!(victim, Victim::Service(_))).copied().collect::<Vec<_>>();
    for blow in one_by_one(settings.seed, services.len() / 2) {
        fire.burns_for(blow.pause).await;
        let first = 2 * blow.victims[0];
        fire.kill_alone(&services[first..first + 2], blow.away).await;
    }
    fire.stage.revive(fire.stage.late()).await;
    fire.storm(&victims).await;
    fire.out().await;
}
