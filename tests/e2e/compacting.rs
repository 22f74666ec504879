//! `leadline compact`, with a file of an older version and beside a running system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use testkit::{Answer, Receiver, wait};

use crate::world::{Home, SOON, World, event_json, read_json, some_destination};

/// Everything expires within seconds.
const SHORT: [&str; 6] = ["--keep-events", "3s", "--keep-history", "4s", "--dedup-window", "1s"];
/// Leads published at a time.
const LEADS: usize = 300;
/// How long pruning may take; usually it takes a fifth of this time.
const PRUNED: Duration = Duration::from_secs(60);

/// The pages of an SQLite file, as another program sees them.
#[derive(Debug, PartialEq, Eq)]
struct Pages {
    all: u64,
    free: u64,
    /// 0 if the file cannot shrink.
    auto_vacuum: u64,
}

fn python(script: &str, file: &Path) -> String {
    let ran =
        Command::new("python3").arg("-c").arg(format!("import sqlite3, sys; {script}")).arg(file).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

fn pages(file: &Path) -> Pages {
    let script = "d = sqlite3.connect(sys.argv[1], timeout=30); \
        print(*[d.execute(f'PRAGMA {p}').fetchone()[0] for p in ('page_count', 'freelist_count', 'auto_vacuum')])";
    let numbers: Vec<u64> = python(script, file).split_whitespace().map(|number| number.parse().unwrap()).collect();
    Pages { all: numbers[0], free: numbers[1], auto_vacuum: numbers[2] }
}

/// A database of an older version.
fn older_file(home: &Home) -> PathBuf {
    let file = home.data().join("leadline.db");
    fs::create_dir_all(home.data()).unwrap();
    python("sqlite3.connect(sys.argv[1]).execute('CREATE TABLE anything (i)')", &file);
    assert_eq!(pages(&file).auto_vacuum, 0);
    file
}

/// Publishes leads, and waits until all are delivered and shown.
async fn deliver(world: &World, receiver: &Receiver, name: &str) {
    let arrived = receiver.count() + LEADS;
    let events: Vec<_> = (0..LEADS).map(|n| event_json(&format!("{name}{n}")).to_string()).collect();
    let (status, answer) = world.post(events.join("\n"), &[("content-type", "application/x-ndjson")]).await;
    assert_eq!(status, 202, "{answer}");
    wait::until_eq("all leads to arrive, and to be shown", SOON, (arrived, 0), async || {
        let status = world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner();
        (receiver.count(), status.lags.iter().map(|lag| lag.waiting).sum::<u64>())
    })
    .await;
}

#[tokio::test]
async fn compacted_older_file_gives_pages_back_to_the_disk() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let file = older_file(&home);
    let process = home.up(&SHORT, &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    receiver.answer(Answer::With(200, vec![], vec![b'x'; 2_000].into()));
    world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
    deliver(&world, &receiver, "a").await;
    let stuck = "its free pages are used again and not given back to the disk; `leadline compact` changes that";
    wait::until("the advice in the log", PRUNED, async || world.process.output().contains(stuck)).await;
    let before = pages(&file);
    assert!(before.free * 10 > before.all, "{before:?}");

    let addresses = read_json(&world.home.data().join("addresses.json")).unwrap();
    let compact = ["compact", "--database-url", addresses["database"].as_str().unwrap()];
    let ran = world.run(&compact).await.well();
    assert_eq!(ran.out, "compacted the read model\n");
    let compacted = pages(&file);
    assert!(compacted.auto_vacuum == 2 && compacted.all < before.all, "{compacted:?} after {before:?}");

    // The running system continues, and returns free pages to the disk.
    deliver(&world, &receiver, "b").await;
    let full = pages(&file);
    assert!(full.all > compacted.all, "{full:?} after {compacted:?}");
    wait::until("the file to shrink", PRUNED, async || {
        let now = pages(&file);
        if now.all < full.all && now.free * 8 < now.all { Ok(()) } else { Err(now) }
    })
    .await;

    // A system that starts with the file works, too.
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    world.run(&compact).await.well();
    assert_eq!(pages(&file).free, 0);
    let world = world.again(&SHORT).await;
    deliver(&world, &receiver, "c").await;
}

#[tokio::test]
async fn compact_refuses_missing_files_and_postgres() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.db");
    let url = format!("sqlite:{}?mode=rwc", missing.display());
    let ran = world.run(&["compact", "--database-url", &url]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("there is no such file") && ran.err.contains("missing.db"), "{ran:?}");
    assert!(!missing.exists());

    let database = testkit::postgres::database().await;
    let ran = world.run(&["compact", "--database-url", &database]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("VACUUM FULL gives it back"), "{ran:?}");
    assert_eq!(testkit::postgres::rows(&database).await.len(), 0, "no tables were made");
}
