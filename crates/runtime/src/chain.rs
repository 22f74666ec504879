//! The one way to print an error with its causes. `Display` of an error does not print its source, so a log line with
//! the error alone loses the cause. (For errors of anyhow use [`chain_of`].)

use std::error::Error;

pub trait ErrorChain {
    /// The error and its causes in one line, from the outermost on, separated by `: `. A cause is left out if the text
    /// before already contains it.
    fn chain(&self) -> String;
}

impl<E: Error + ?Sized> ErrorChain for E {
    fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text
    }
}

/// The same for an error of anyhow, whose `{:#}` repeats what its causes repeat.
pub fn chain_of(error: &anyhow::Error) -> String {
    let error: &(dyn Error + 'static) = error.as_ref();
    error.chain()
}

#[cfg(test)]
mod tests {
    use std::{
        fs, io,
        path::{Path, PathBuf},
    };

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file")]
    struct Unreadable(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Wrapper(#[from] Unreadable);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start: {0}")]
    struct Repeats(#[source] Wrapper);

    #[test]
    fn a_chain_names_each_cause_once() {
        let unreadable = || Unreadable(io::Error::other("disk is gone"));
        assert_eq!(unreadable().chain(), "cannot read the file: disk is gone");
        assert_eq!(Wrapper(unreadable()).chain(), "cannot read the file: disk is gone");
        assert_eq!(Repeats(Wrapper(unreadable())).chain(), "cannot start: cannot read the file: disk is gone");
        let error = anyhow::Error::new(Repeats(Wrapper(unreadable()))).context("disk is gone, so nothing works");
        assert_eq!(chain_of(&error), "disk is gone, so nothing works: cannot start: cannot read the file");
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_log_line_prints_the_whole_chain() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = vec![];
        for folder in ["crates", "services"] {
            sources(&root.join(folder), &mut files);
        }
        assert!(files.len() > 100, "cannot find the sources of the workspace");
        // Split so that this file does not match itself.
        let forbidden = [concat!("%", "error"), concat!("error = ", "%"), concat!("error = ", "?")];
        let mut wrong = vec![];
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().enumerate();
            let lines =
                lines.filter(|(_, line)| line.contains("tracing::") || line.trim_start().starts_with("error = "));
            for (number, line) in lines.filter(|(_, line)| forbidden.iter().any(|text| line.contains(text))) {
                wrong.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
        assert!(wrong.is_empty(), "print errors with `error = error.chain()`:\n{}", wrong.join("\n"));
    }
}
