//! `leadline demo`, usually the first command of a newcomer.

use std::time::Duration;

use testkit::Process;

use crate::world::{program, web};

/// More failures than the default quota of mails to one recipient.
const LEADS: &str = "150";
const DEMO_TIMEOUT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn demo_succeeds() {
    let (leadline, nats_server) = (program(), testkit::nats::binary());
    let env = [("LEADLINE_NATS_SERVER", nats_server.to_str().unwrap())];
    let demo = Process::start("leadline demo", leadline.to_str().unwrap(), ["demo", "--leads", LEADS], env);
    let status = demo.wait_exit(DEMO_TIMEOUT).await;
    assert!(status.success() && demo.output().contains("Nothing lost."), "{}", demo.output());
}

#[tokio::test]
async fn kept_demo_prints_a_console_link() {
    let (leadline, nats_server) = (program(), testkit::nats::binary());
    let env = [("LEADLINE_NATS_SERVER", nats_server.to_str().unwrap())];
    let demo = Process::start("leadline demo", leadline.to_str().unwrap(), ["demo", "--leads", "10", "--keep"], env);
    let line = demo.wait_line("console: ", DEMO_TIMEOUT).await;
    let (site, token) = line.trim().trim_start_matches("console: ").split_once("/console/login#token=").unwrap();
    let log_in = web().post(format!("{site}/console/session")).header("content-type", "application/json");
    let answer = log_in.body(format!(r#"{{"token":"{token}"}}"#)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", demo.output());
    demo.terminate();
    assert!(demo.wait_exit(DEMO_TIMEOUT).await.success(), "{}", demo.output());
    assert!(demo.output().contains("Stopped."), "{}", demo.output());
}
