//! `leadline demo`, usually the first command of a newcomer.

use std::time::Duration;

use testkit::Process;

use crate::world::program;

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
