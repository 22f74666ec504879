use clap::CommandFactory as _;

use super::*;
use crate::cli::Cli;

fn placed(line: &str) -> String {
    let words = line.split(' ').map(OsString::from).collect();
    let words = flags_last(words, &Cli::command());
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn options_before_the_command_belong_to_it() {
    for (given, expected) in [
        ("leadline --json leads list --failed", "leadline leads list --json --failed"),
        ("leadline --account acme --utc leads", "leadline leads --account acme --utc"),
        (
            "leadline --grpc-url=http://a:1 destinations show CRM",
            "leadline destinations show --grpc-url=http://a:1 CRM",
        ),
        ("leadline leads --json", "leadline leads --json"),
        ("leadline --version", "leadline --version"),
        ("leadline --json retry -- x", "leadline retry --json -- x"),
    ] {
        assert_eq!(placed(given), expected);
    }
}
