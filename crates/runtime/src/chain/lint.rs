//! Tests that only [`ErrorChain`](super::ErrorChain) prints errors. They search every source file of the workspace for
//! log lines that print an error in another way, and for errors whose `Display` prints their source.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FOLDERS: [&str; 5] = ["crates", "services", "bench", "tests", "fuzz"];
/// The names of errors in this workspace.
const ERRORS: [&str; 10] =
    ["error", "err", "e", "failure", "cause", "source", "trouble", "problem", "fault", "join_error"];
/// Fields of log lines that contain the cause of a failure.
const WHY: [&str; 4] = ["error", "why", "reason", "cause"];
/// Macros that print a line for an operator.
const PRINTERS: [&str; 6] =
    ["tracing::error!(", "tracing::warn!(", "tracing::info!(", "tracing::debug!(", "tracing::trace!(", "eprintln!("];

const READS_SOURCE: &str = "the source of an error is read";
/// Files that read the source of an error.
const MAY_READ_SOURCES: [&str; 4] = [
    // This module prints chains, and looks for a cause in them.
    "crates/runtime/src/chain.rs",
    // Looks into errors of I/O as well, where `causes` does not look.
    "services/dispatcher/src/transport/failure.rs",
    // Passes the source of another error on as its own.
    "services/dispatcher/src/transport/client/proxy.rs",
    // A test of a crate that does not use `runtime`.
    "crates/events/tests/it/damage.rs",
];

/// The position after a string or character literal, or after a comment, that begins at `at`; `at` if none does.
fn after_literal(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    if rest.starts_with("//") {
        return at + rest.find('\n').unwrap_or(rest.len());
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|raw| raw.starts_with(['"', '#'])) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = raw[hashes..].strip_prefix('"');
        return match body.and_then(|body| body.find(&end)) {
            Some(length) => at + 1 + hashes + 1 + length + end.len(),
            None => at,
        };
    }
    let mut chars = rest.char_indices();
    match chars.next() {
        Some((_, '"')) => {
            while let Some((index, c)) = chars.next() {
                match c {
                    '\\' => drop(chars.next()),
                    '"' => return at + index + 1,
                    _ => {}
                }
            }
            text.len()
        }
        // A character, not a lifetime.
        Some((_, '\'')) => match (chars.next(), chars.next(), chars.next()) {
            (Some((_, '\\')), _, Some((index, '\''))) => at + index + 1,
            (Some(_), Some((index, '\'')), _) => at + index + 1,
            _ => at,
        },
        _ => at,
    }
}

/// The text from `from` to the bracket that closes the one before `from`.
fn bracketed(text: &str, from: usize) -> &str {
    let (mut at, mut depth) = (from, 1);
    while let Some(c) = text[at..].chars().next() {
        let after = after_literal(text, at);
        if after > at {
            at = after;
            continue;
        }
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        at += c.len_utf8();
    }
    &text[from..at]
}

/// The parts of a list, divided by commas.
fn parts(list: &str) -> Vec<&str> {
    let (mut all, mut begin, mut at) = (vec![], 0, 0);
    while let Some(c) = list[at..].chars().next() {
        let after = after_literal(list, at);
        if after > at {
            at = after;
            continue;
        }
        match c {
            '(' | '[' | '{' => at += bracketed(list, at + 1).len() + 2,
            ',' => {
                all.push(list[begin..at].trim());
                at += 1;
                begin = at;
            }
            _ => at += c.len_utf8(),
        }
    }
    all.push(list[begin..].trim());
    all.retain(|part| !part.is_empty());
    all
}

fn last_name(value: &str) -> &str {
    let name = value.trim_end_matches("()");
    name.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The fault of a part of a log line; `None` if it has none.
fn wrong_part(part: &str) -> Option<&'static str> {
    if part.starts_with('"') {
        let names = |name: &&str| part.contains(&format!("{{{name}}}")) || part.contains(&format!("{{{name}:"));
        return ERRORS.iter().any(names).then_some("the message prints an error");
    }
    let (name, value) = part.split_once(" = ").unwrap_or((last_name(part), part));
    if value.starts_with(['%', '?']) && (WHY.contains(&name) || ERRORS.contains(&last_name(value))) {
        return Some("a field prints an error");
    }
    if WHY.contains(&name) && (value.contains(".to_string()") || value.contains("format!(")) {
        return Some("a field prints an error");
    }
    // A field that is only `error` is a text, because an error would not compile. An earlier line made that text.
    let is_chain = value.ends_with(".chain()") || value.contains("chain_of(&") || value == "error";
    (name == "error" && !is_chain).then_some("the field error holds something other than a chain")
}

/// The fault of a line of code; `None` if it has none.
fn wrong_line(line: &str) -> Option<&'static str> {
    let prints = |shape: &dyn Fn(&str) -> String| ERRORS.iter().any(|error| line.contains(&shape(error)));
    if line.contains(":#}") && prints(&|error| format!("{{{error}:#}}")) {
        return Some("an error of anyhow is printed without chain_of");
    }
    if line.contains("}: {") && ERRORS.iter().any(|cause| prints(&|error| format!("{{{error}}}: {{{cause}}}"))) {
        return Some("an error is printed with one cause");
    }
    if line.contains(".source()") {
        return Some(READS_SOURCE);
    }
    if !line.contains(".to_string()") {
        return None;
    }
    if prints(&|error| format!("(&{error}.to_string())")) {
        return Some("an error is passed on without its causes");
    }
    let becomes_text = |why: &&str| prints(&|error| format!("let {why} = {error}.to_string()"));
    WHY.iter().any(becomes_text).then_some("an error becomes a text without its causes")
}

/// The faults of a source file, each with its line.
fn wrong_lines(text: &str) -> Vec<(usize, &'static str)> {
    let mut wrong = vec![];
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    for printer in PRINTERS {
        for (at, _) in text.match_indices(printer) {
            let found = parts(bracketed(text, at + printer.len())).into_iter().find_map(wrong_part);
            wrong.extend(found.map(|what| (line(at), what)));
        }
    }
    wrong.extend(text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, wrong_line(line)?))));
    wrong.extend(text.match_indices("#[error(").filter_map(|(at, attribute)| {
        let display = bracketed(text, at + attribute.len());
        let after = text[at + attribute.len() + display.len()..].strip_prefix(")]")?;
        prints_its_source(display, item(after)).then_some((line(at), "the Display of an error prints its source"))
    }));
    wrong
}

/// The struct or variant after an attribute, without further attributes and documentation.
fn item(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if text.starts_with("//") {
            text = &text[after_literal(text, 0)..];
        } else if text.starts_with("#[") {
            text = &text[bracketed(text, 2).len() + 3..];
        } else {
            return ["pub(crate) ", "pub(super) ", "pub ", "struct "]
                .iter()
                .fold(text, |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
        }
    }
}

/// Whether the text of `#[error(…)]` refers to the field that is the source of the struct or variant after it.
fn prints_its_source(display: &str, item: &str) -> bool {
    let open = item.find(['(', '{', ',', ';', '}']).filter(|open| item[*open..].starts_with(['(', '{']));
    let Some(open) = open.filter(|_| !item.starts_with("enum ")) else { return false };
    parts(bracketed(item, open + 1)).into_iter().enumerate().any(|(index, field)| {
        let lines = field.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let field = lines.collect::<Vec<_>>().join(" ");
        let declared = field.rsplit("] ").next().unwrap_or_default();
        let name = match declared.split_once(": ").filter(|_| item[open..].starts_with('{')) {
            Some((name, _)) => last_name(name).to_owned(),
            None => index.to_string(),
        };
        let is_source = field.contains("#[from]") || field.contains("#[source]") || name == "source";
        let is_printed = |shape: String| display.contains(&shape);
        let is_argument = || parts(display).contains(&format!(".{name}").as_str());
        is_source && (is_printed(format!("{{{name}}}")) || is_printed(format!("{{{name}:")) || is_argument())
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("chain/lint.rs") {
            found.push(path);
        }
    }
}

#[test]
fn errors_are_printed_with_their_chain_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![];
    FOLDERS.iter().for_each(|folder| sources(&root.join(folder), &mut files));
    assert!(files.len() > 500, "cannot find the sources of the workspace");
    let mut wrong = vec![];
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let may_read = MAY_READ_SOURCES.iter().any(|path| file.ends_with(path));
        let found = wrong_lines(&text).into_iter().filter(|(_, what)| !may_read || *what != READS_SOURCE);
        wrong.extend(found.map(|(line, what)| format!("{}:{line}: {what}", file.display())));
    }
    assert!(wrong.is_empty(), "print errors with `error = error.chain()`:\n{}", wrong.join("\n"));
}

#[test]
fn every_other_way_to_print_an_error_is_found() {
    for wrong in [
        r#"tracing::warn!(%error, "cannot read file; retrying");"#,
        r#"tracing::warn!(?e, "cannot read file; retrying");"#,
        r#"tracing::debug!(error = %self.inner.failure, "cannot read file");"#,
        r#"tracing::debug!(why = %refused, "refused a call");"#,
        r#"tracing::warn!(file, error = error.to_string(), "cannot read file");"#,
        r#"tracing::warn!(reason = format!("{x}"), "cannot read file");"#,
        r#"tracing::warn!(error = error.with_causes(), "cannot read file");"#,
        "tracing::warn!(\n    name = name(')', \"(\"),\n    error = name,\n    \"cannot read file\"\n);",
        "let why = error.to_string();",
        r#"tracing::warn!("cannot read file: {error}");"#,
        r#"eprintln!("cannot read file: {e:?}");"#,
        r#"self.recover(&error.to_string()).await"#,
        r#"format!("{error}: {source}")"#,
        r#"format!("{error:#}")"#,
        "std::iter::successors(Some(error), |error| error.source())",
        "#[error(\"cannot read: {0}\")]\nFile(#[from] io::Error),",
        "#[error(\"cannot read: {}\", .0)]\nFile(#[source] io::Error),",
        "#[error(\"cannot read {name}: {source}\")]\n/// A file.\nFile { name: String, source: io::Error },",
        "#[error(\"cannot read: {inner}\")]\nstruct File {\n    name: String,\n    #[source]\n    inner: io::Error,\n}",
        "#[error(\"cannot read: {0}\")]\npub struct File(#[from] io::Error);",
    ] {
        assert_eq!(wrong_lines(wrong).len(), 1, "{wrong}");
    }
    for right in [
        r#"tracing::warn!(%file, ?delay, error = error.chain(), "cannot read {file}; retrying");"#,
        r#"tracing::warn!(error = runtime::chain_of(&error), "{operation}; retrying");"#,
        r#"tracing::warn!(why, reason = end.reason, "gave up notice");"#,
        r#"eprintln!("leadline: {}", in_words(error));"#,
        "#[error(transparent)]\nFile(#[from] io::Error),",
        "#[error(\"{0} is not a file\")]\nNoFile(String),\n#[error(\"cannot read\")]\nFile(#[from] io::Error),",
        "#[error(\"cannot read {name}\")]\nFile { name: String, #[source] source: io::Error },",
        "#[error(\"nothing there: {0:?}\")]\nNothing,\n#[error(\"cannot read\")]\nFile(#[source] io::Error),",
    ] {
        assert_eq!(wrong_lines(right), [], "{right}");
    }
}
