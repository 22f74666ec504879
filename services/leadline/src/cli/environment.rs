//! Treats empty environment variables as unset, because Compose passes `VAR=${VAR:-}` also for variables that are not
//! set.

use std::env;

use clap::Command;

/// Makes options ignore empty variables. The process cannot remove such variables from its own environment, because
/// other threads may read it meanwhile.
pub(crate) fn without_empty_variables(command: Command) -> Command {
    let command = command.mut_args(|option| {
        let is_empty = option.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { option.env(None::<&str>) } else { option }
    });
    command.mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests;
