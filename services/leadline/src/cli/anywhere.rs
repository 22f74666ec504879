//! Options that may stand before the command: `leadline --json leads` means `leadline leads --json`.

use std::ffi::OsString;

use clap::Command;

/// The options of every command that calls a running system, and whether a value follows.
const FLAGS: [(&str, bool); 9] = [
    ("--json", false),
    ("--wide", false),
    ("--utc", false),
    ("--account", true),
    ("--grpc-url", true),
    ("--tls-ca", true),
    ("--api-key", true),
    ("--data-dir", true),
    ("--context", true),
];

/// Moves options that stand before the command behind its last verb, because clap accepts them only there.
pub(crate) fn flags_last(words: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let mut rest = words.into_iter();
    let mut placed: Vec<OsString> = rest.next().into_iter().collect();
    let mut moved = vec![];
    let mut rest = rest.peekable();
    while let Some(word) = rest.peek() {
        let text = word.to_string_lossy();
        let (name, has_value) = text.split_once('=').map_or((&*text, false), |(name, _)| (name, true));
        let Some((_, takes_value)) = FLAGS.iter().find(|(flag, _)| *flag == name) else { break };
        let values = usize::from(*takes_value && !has_value);
        moved.extend(rest.by_ref().take(1 + values));
    }
    if moved.is_empty() {
        placed.extend(rest);
        return placed;
    }
    // The words that lead to the command.
    let mut command = command;
    while let Some(below) = rest.peek().and_then(|word| command.find_subcommand(word)) {
        command = below;
        placed.extend(rest.next());
    }
    placed.extend(moved);
    placed.extend(rest);
    placed
}

#[cfg(test)]
mod tests;
