//! Tests that every option and variable of the first installations is still accepted. `0df4b80.txt` lists them.

use std::collections::HashMap;

use clap::{Command, CommandFactory as _, error::ErrorKind};

use super::Cli;

const TABLE: &str = include_str!("0df4b80.txt");

/// An option of the table.
struct Setting<'a> {
    /// As it is written: `--option`, `--option=VALUE` or `-o=VALUE`.
    written: &'a str,
    variable: Option<&'a str>,
}

impl<'a> Setting<'a> {
    fn parse(text: &'a str) -> Self {
        match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((written, variable)) => Self { written, variable: Some(variable) },
            None => Self { written: text, variable: None },
        }
    }

    fn name(&self) -> &'a str {
        self.written.split('=').next().unwrap()
    }

    /// Why this command does not accept it; `None` if it does.
    fn is_refused_by(&self, command: &Command) -> Option<String> {
        let name = self.name();
        let found = command.get_arguments().find(|argument| match name.strip_prefix("--") {
            Some(long) => argument.get_long_and_visible_aliases().is_some_and(|names| names.contains(&long)),
            None => argument.get_short().is_some_and(|short| name == format!("-{short}")),
        });
        let Some(found) = found else { return Some(format!("{name} is gone")) };
        if found.get_action().takes_values() != self.written.contains('=') {
            return Some(format!("{name} takes a value now, or no longer takes one"));
        }
        let variable = found.get_env().and_then(|name| name.to_str());
        let is_same = self.variable.is_none_or(|own| variable == Some(format!("LEADLINE_{own}").as_str()));
        (!is_same).then(|| format!("{name} has the variable {variable:?}"))
    }
}

/// The commands of the table, with their arguments and their options.
fn table() -> Vec<(Vec<&'static str>, Vec<Setting<'static>>)> {
    let mut sets: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut commands: Vec<(Vec<&str>, Vec<&str>)> = vec![];
    let mut set = None;
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words = if line.starts_with(' ') {
            line
        } else if let Some((name, words)) = line.split_once(" = ") {
            set = Some(name);
            words
        } else {
            let (command, words) = line.split_once(':').unwrap();
            set = None;
            commands.push((command.split(' ').collect(), vec![]));
            words
        };
        let into = match set {
            Some(name) => sets.entry(name).or_default(),
            None => &mut commands.last_mut().unwrap().1,
        };
        into.extend(words.split_whitespace());
    }
    let expanded = |words: Vec<&'static str>| {
        let options = words.into_iter().flat_map(|word| sets.get(word).cloned().unwrap_or_else(|| vec![word]));
        options.map(Setting::parse).collect()
    };
    commands.into_iter().map(|(command, words)| (command, expanded(words))).collect()
}

#[test]
fn options_and_variables_of_the_first_installations_are_accepted() {
    let table = table();
    assert_eq!(table.len(), 62, "commands");
    assert!(table.iter().map(|(_, settings)| settings.len()).sum::<usize>() > 600, "options");
    let mut root = Cli::command();
    root.build();
    for (words, settings) in table {
        let mut command = &root;
        for word in &words {
            command = command.find_subcommand(word).unwrap_or(command);
        }
        assert_ne!(command.get_name(), root.get_name(), "{words:?} is gone");
        for setting in settings {
            assert_eq!(setting.is_refused_by(command), None, "{words:?}");
            let line = ["leadline"].into_iter().chain(words.iter().copied()).chain([setting.written]);
            let parsed = root.clone().try_get_matches_from(line);
            // A single option may need another one, or exclude an argument.
            let refused = parsed.err().filter(|error| {
                !matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict)
            });
            assert!(refused.is_none(), "{words:?} {}: {}", setting.written, refused.unwrap());
        }
    }
}
