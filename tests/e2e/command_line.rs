//! The command line against a running system: every verb, in its output for people and for scripts.

mod comfort;
mod configuring;
mod jobs;
mod large_lists;
mod looking;
mod publishing;

use std::process::Stdio;

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use crate::world::{SOON, World, program};

/// The usual width of rows of `leadline watch`.
const DEFAULT_WIDTH: usize = 120;

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Asserts that the command succeeded.
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The words of each row of a table, without the titles.
    fn rows(&self) -> Vec<Vec<&str>> {
        assert!(!self.out.contains('\u{1b}'), "no colours unless it is a terminal: {self:?}");
        self.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
    }

    /// A value of a list of properties.
    pub(crate) fn fact(&self, name: &str) -> &str {
        let line = self.out.lines().find(|line| line.starts_with(&format!("{name}  ")));
        line.unwrap_or_else(|| panic!("no {name}: {self:?}")).strip_prefix(name).unwrap().trim()
    }
}

impl World {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).kill_on_drop(true);
        command.env("LEADLINE_GRPC_URL", &self.grpc).env("LEADLINE_DATA_DIR", self.home.data());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program until it ends.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "").await
    }

    /// Like [`World::run`], with this standard input.
    pub(crate) async fn run_with(&self, args: &[&str], input: &str) -> Ran {
        finished(self.command(args), input).await
    }
}

async fn finished(mut command: Command, input: &str) -> Ran {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may have ended without reading it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = timeout(SOON, child.wait_with_output()).await.expect("it ends soon").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: ended.status.code().unwrap(), out: text(ended.stdout), err: text(ended.stderr) }
}

#[tokio::test]
async fn errors_are_plain_and_have_exit_codes() {
    let world = World::start().await;
    for (args, expected) in [
        (&["deliveries", "--since", "soon"][..], "is not a time such as 2h"),
        (&["deliveries", "--status", "lost"], "is not one of pending, processing"),
        (&["retry"], "no deliveries are named"),
        (&["retry", "one", "--destination", "CRM"], "not both"),
        (&["deliveries", "show", "order-7"], "leadline deliveries --event order-7"),
        (&["retry", "order-7"], "order-7 is not the id of a delivery"),
        (&["accounts", "update", "acme"], "nothing to change"),
        (&["publish", "--payload", "{"], "is not JSON"),
        (&["leads", "show", "ada@example.com", "--account", "acme"], "leads --where email=ada@example.com"),
        (&["destinations", "create", "--name", "nowhere"], "--url is missing"),
        (&["leadership"], "unrecognized subcommand"),
    ] {
        let ran = world.run(args).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(expected) && ran.out.is_empty(), "{ran:?}");
    }
    let no_such = "00000000-0000-5000-8000-000000000000";
    for (args, expected) in [
        (&["deliveries", "show", no_such][..], "refused (NOT_FOUND): "),
        (&["leads", "show", "nobody"], "refused (NOT_FOUND): "),
        (&["destinations", "show", "CRM"], "refused (NOT_FOUND): account acme has no destination CRM"),
        (&["accounts", "create", "acme"], "refused (ALREADY_EXISTS): "),
        (&["jobs", "cancel", no_such], "refused (NOT_FOUND): "),
        (&["status", "--grpc-url", "http://127.0.0.1:1"], "nothing answers at http://127.0.0.1:1"),
        (&["status", "--api-key", "ll_a_b"], "refused (UNAUTHENTICATED): "),
    ] {
        let ran = world.run(args).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(expected) && ran.out.is_empty(), "{args:?}: {ran:?}");
    }
    // This is the HTTP port instead of the gRPC port.
    let ran = world.run(&["leads", "--grpc-url", &world.http]).await;
    assert!(ran.code == 1 && ran.err.contains("names another port than that of gRPC"), "{ran:?}");
    // With two accounts, the account has to be named.
    world.run(&["accounts", "create", "second"]).await.well();
    let ran = world.run(&["leads"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--account is missing"), "{ran:?}");
    world.run(&["leads", "--account", "second"]).await.well();
}
