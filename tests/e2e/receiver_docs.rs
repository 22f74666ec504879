//! The code of docs/receivers.md checks real deliveries. Python is required; other languages run if they are installed
//! (`tools/bring-languages`).

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use api::{DeliveryStatus, duration_to_api};
use jiff::Timestamp;
use testkit::{Receiver, receiver::Seen};

use crate::world::{ACCOUNT, World, some_destination};

/// A language: the name of its code block, the programs that it needs, and what turns the block into a program. The
/// program takes secret, id, timestamp and signatures as arguments and the body on standard input, and exits with 0 if
/// the signature is valid.
struct Language {
    fence: &'static str,
    needs: &'static [&'static str],
    /// The file of the code block.
    file: &'static str,
    /// Other files.
    beside: &'static [(&'static str, &'static str)],
    /// The command that builds the program, once.
    build: &'static [&'static str],
    run: &'static [&'static str],
}

const LANGUAGES: [Language; 6] = [
    Language {
        fence: "python",
        needs: &["python3"],
        file: "webhook.py",
        beside: &[("main.py", "import sys, webhook\nwebhook.verify(*sys.argv[1:5], sys.stdin.buffer.read())\n")],
        build: &[],
        run: &["python3", "main.py"],
    },
    Language {
        fence: "javascript",
        needs: &["node"],
        file: "webhook.mjs",
        beside: &[(
            "main.mjs",
            "import { readFileSync } from 'node:fs';\nimport { verify } from './webhook.mjs';\n\
             verify(...process.argv.slice(2, 6), readFileSync(0));\n",
        )],
        build: &[],
        run: &["node", "main.mjs"],
    },
    Language {
        fence: "go",
        needs: &["go"],
        file: "webhook/webhook.go",
        beside: &[
            ("go.mod", "module receiver\n"),
            (
                "main.go",
                "package main\n\nimport (\n\t\"io\"\n\t\"os\"\n\t\"receiver/webhook\"\n)\n\nfunc main() {\n\
                 \tbody, _ := io.ReadAll(os.Stdin)\n\
                 \tif err := webhook.Verify(os.Args[1], os.Args[2], os.Args[3], os.Args[4], body); err != nil {\n\
                 \t\tprintln(err.Error())\n\t\tos.Exit(1)\n\t}\n}\n",
            ),
        ],
        build: &["go", "build", "-o", "main", "."],
        run: &["./main"],
    },
    Language {
        fence: "java",
        needs: &["java", "javac"],
        file: "Webhook.java",
        beside: &[(
            "Main.java",
            "class Main {\n    public static void main(String[] a) throws Exception {\n\
             Webhook.verify(a[0], a[1], a[2], a[3], System.in.readAllBytes());\n    }\n}\n",
        )],
        build: &["javac", "Webhook.java", "Main.java"],
        run: &["java", "Main"],
    },
    Language {
        fence: "php",
        needs: &["php"],
        file: "webhook.php",
        beside: &[(
            "main.php",
            "<?php\nrequire 'webhook.php';\nverify($argv[1], $argv[2], $argv[3], $argv[4], file_get_contents('php://stdin'));\n",
        )],
        build: &[],
        run: &["php", "main.php"],
    },
    Language {
        fence: "ruby",
        needs: &["ruby"],
        file: "webhook.rb",
        beside: &[("main.rb", "require_relative 'webhook'\nverify(*ARGV[0, 4], $stdin.binmode.read)\n")],
        build: &[],
        run: &["ruby", "main.rb"],
    },
];

/// The only code block of a language in the document.
fn block(fence: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/receivers.md");
    let text = fs::read_to_string(file).unwrap();
    let begin = format!("\n```{fence}\n");
    let mut blocks = text.split(&begin).skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let block = blocks.next().unwrap_or_else(|| panic!("no code in {fence}"));
    assert_eq!(blocks.next(), None, "one block of {fence}");
    format!("{block}\n")
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A checker in its own folder.
struct Checker<'a> {
    language: &'a Language,
    folder: PathBuf,
}

impl<'a> Checker<'a> {
    fn new(language: &'a Language, folder: &Path) -> Self {
        let folder = folder.join(language.fence);
        let file = folder.join(language.file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, block(language.fence)).unwrap();
        language.beside.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        let checker = Self { language, folder };
        if !language.build.is_empty() {
            let built = checker.command(language.build).output().unwrap();
            assert!(built.status.success(), "{}: {}", language.fence, String::from_utf8_lossy(&built.stderr));
        }
        checker
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.folder);
        // Go must not use the network, nor write outside of the folder.
        command.env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").env("GOCACHE", self.folder.join("cache"));
        command
    }

    /// Whether the checker accepts a request. The error is its output.
    fn accepts(&self, secret: &str, request: &Request) -> Result<(), String> {
        let Request { id, timestamp, signatures, body } = request;
        let mut child = self
            .command(self.language.run)
            .args([secret, id, timestamp, signatures])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A checker that refuses the headers may not read the body.
        let _ = child.stdin.take().unwrap().write_all(body);
        let output = child.wait_with_output().unwrap();
        let message = [output.stdout, output.stderr].concat();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&message).into_owned()) }
    }
}

/// The input of a checker.
#[derive(Clone)]
struct Request {
    id: String,
    timestamp: String,
    signatures: String,
    body: Vec<u8>,
}

impl From<&Seen> for Request {
    fn from(seen: &Seen) -> Self {
        let header = |name| seen.header(name).to_owned();
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        Self { id, timestamp, signatures: header("webhook-signature"), body: seen.body.to_vec() }
    }
}

/// A request that the old and the new secret of a token signed, and both secrets.
async fn delivered() -> (Seen, [String; 2]) {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let create = api::CreateTokenRequest { account_id: ACCOUNT.into(), ..api::CreateTokenRequest::default() };
    let made = world.registry().create_token(create).await.unwrap().into_inner();
    let token_id = made.token.unwrap().token_id;
    let overlap = Some(duration_to_api(Duration::from_secs(3_600)));
    let rotate = api::RotateTokenRequest {
        account_id: ACCOUNT.into(),
        token_id: token_id.clone(),
        overlap,
        ..api::RotateTokenRequest::default()
    };
    let new = world.registry().rotate_token(rotate).await.unwrap().into_inner().secret;
    world.destination_with(api::Destination { url: receiver.url(), token_id, ..some_destination() }).await;
    world.publish_with("e1", serde_json::json!({"payload": {"name": "Ada \u{1f600} Löv"}})).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    (receiver.requests().remove(0), [made.secret, new])
}

#[tokio::test]
async fn documented_receiver_code_accepts_only_valid_signatures() {
    let (seen, [old, new]) = delivered().await;
    let folder = tempfile::tempdir().unwrap();
    let installed = LANGUAGES.iter().filter(|language| language.needs.iter().all(|program| is_installed(program)));
    let checkers: Vec<_> = installed.map(|language| Checker::new(language, folder.path())).collect();
    assert!(checkers.iter().any(|checker| checker.language.fence == "python"), "the tests need python3");
    for checker in &checkers {
        let name = checker.language.fence;
        let good = Request::from(&seen);
        assert_eq!(good.signatures.split(' ').count(), 2, "one of each secret");
        for secret in [&old, &new] {
            checker.accepts(secret, &good).unwrap_or_else(|message| panic!("{name}: {message}"));
        }
        let one = |n: usize| Request { signatures: good.signatures.split(' ').nth(n).unwrap().into(), ..good.clone() };
        checker.accepts(&new, &one(0)).unwrap_or_else(|message| panic!("{name}: {message}"));
        let unknown = Request { signatures: format!("v1a,AAAA v9 {}", good.signatures), ..good.clone() };
        checker.accepts(&new, &unknown).unwrap_or_else(|message| panic!("{name}: {message}"));

        let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let stale = (Timestamp::now().as_second() - 301).to_string();
        for (what, secret, request) in [
            ("another secret", other, good.clone()),
            ("the other secret's signature", new.as_str(), one(1)),
            ("another body", &new, Request { body: [&good.body[..], b" "].concat(), ..good.clone() }),
            ("another id", &new, Request { id: "e2".into(), ..good.clone() }),
            ("an old timestamp", &new, Request { timestamp: stale, ..good.clone() }),
            ("no timestamp", &new, Request { timestamp: String::new(), ..good.clone() }),
            ("no signature", &new, Request { signatures: String::new(), ..good.clone() }),
            ("another version", &new, Request { signatures: good.signatures.replace("v1,", "v2,"), ..good.clone() }),
        ] {
            let message = checker.accepts(secret, &request).expect_err(&format!("{name} accepts {what}"));
            let refusal = if what.contains("timestamp") { "timestamp" } else { "no signature matches" };
            assert!(message.contains(refusal), "{name}, {what}: {message}");
        }
    }
    let names: Vec<_> = checkers.iter().map(|checker| checker.language.fence).collect();
    println!("checked by {}", names.join(", "));
}

#[test]
fn every_language_has_its_code_block() {
    for language in &LANGUAGES {
        assert!(block(language.fence).lines().count() > 15, "{}", language.fence);
    }
}
