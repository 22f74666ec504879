use std::{collections::BTreeSet, fmt::Write as _, process};

use clap::{ArgMatches, CommandFactory as _};

use super::*;
use crate::cli::Cli;

const THIS_TEST: &str = "cli::environment::tests::empty_variables_count_as_unset_for_every_option";
/// Set for the child process, which prints the values that it reads.
const PRINT: &str = "LEADLINE_TEST_PRINT_OPTIONS";
const BEGIN: &str = "--- begin ---";
const END: &str = "--- end ---";

/// Finds every command without subcommands, as the words that call it.
fn leaves(command: &Command, path: &[String], found: &mut Vec<Vec<String>>) {
    if !command.has_subcommands() {
        found.push(path.to_vec());
    }
    for below in command.get_subcommands() {
        leaves(below, &[path, &[below.get_name().to_owned()]].concat(), found);
    }
}

fn variables(command: &Command, found: &mut BTreeSet<String>) {
    let of_options = command.get_arguments().filter_map(|option| option.get_env()?.to_str().map(str::to_owned));
    found.extend(of_options);
    command.get_subcommands().for_each(|below| variables(below, found));
}

/// Makes every argument optional, so that the environment alone decides.
fn all_optional(command: Command) -> Command {
    let groups: Vec<_> = command.get_groups().map(|group| group.get_id().clone()).collect();
    let command = groups.into_iter().fold(command, |command, id| command.mut_group(id, |g| g.required(false)));
    command.mut_args(|option| option.required(false)).mut_subcommands(all_optional)
}

/// The values of the options of each command, and their sources.
fn options(path: &[String]) -> String {
    let command = all_optional(without_empty_variables(Cli::command()));
    let words = ["leadline".to_owned()].into_iter().chain(path.iter().cloned());
    let matches = match command.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => return format!("{path:?}: {error}\n"),
    };
    let mut of_command: &ArgMatches = &matches;
    while let Some((_, below)) = of_command.subcommand() {
        of_command = below;
    }
    let mut text = String::new();
    for id in of_command.ids() {
        let values: Vec<_> = of_command.get_raw(id.as_str()).into_iter().flatten().collect();
        let source = of_command.value_source(id.as_str());
        writeln!(text, "{path:?} {id}: {values:?} from {source:?}").unwrap();
    }
    text
}

/// The output of a process with this environment.
fn printed(environment: &BTreeSet<String>, value: Option<&str>) -> String {
    let mut process = process::Command::new(env::current_exe().unwrap());
    process.args(["--exact", THIS_TEST, "--nocapture"]).env(PRINT, "yes");
    for variable in environment {
        match value {
            Some(value) => process.env(variable, value),
            None => process.env_remove(variable),
        };
    }
    let output = process.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let part = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    part.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr))).0.to_owned()
}

#[test]
fn empty_variables_count_as_unset_for_every_option() {
    let mut commands = vec![];
    leaves(&Cli::command(), &[], &mut commands);
    if env::var_os(PRINT).is_some() {
        let text: String = commands.iter().map(|path| options(path)).collect();
        println!("{BEGIN}\n{text}{END}");
        return;
    }
    let mut all = BTreeSet::new();
    variables(&Cli::command(), &mut all);
    assert!(commands.len() > 40 && all.len() > 30, "{commands:?} {all:?}");
    let unset = printed(&all, None);
    assert!(!unset.contains("error"), "{unset}");
    assert_eq!(printed(&all, Some("")), unset);
    // The comparison means something only if variables are read. So each command that has one reports a nonsensical
    // value.
    let nonsense = printed(&all, Some("\u{1}"));
    for path in commands.iter().filter(|path| !["listen", "demo", "completions", "context"].contains(&path[0].as_str()))
    {
        let seen = nonsense.lines().any(|line| {
            line.starts_with(&format!("{path:?}")) && (line.contains("error") || line.contains("EnvVariable"))
        });
        assert!(seen, "{path:?}: {nonsense}");
    }
}
