//! The list of features is complete, and every test that it names exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The root folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cells of the rows of all tables, without titles.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/features.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells.filter(|cells| cells[0] != "#").collect()
}

/// The tests that a cell names: backticks contain nothing else.
fn tests_in(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a test exists. A test of a package may be in any of its files, a test of a module has to be in the file of
/// that module.
pub(crate) fn exists(test: &str) -> bool {
    match test.split_once(": ") {
        Some(("chaos", path)) => is_in_module("tests/chaos", path),
        Some((package, path)) => {
            let name = path.rsplit("::").next().unwrap();
            let folders = ["crates", "services", "tests"].map(|parent| root().join(parent).join(package));
            folders.iter().any(|folder| is_below(folder, name))
        }
        None => is_in_module("tests/e2e", test),
    }
}

fn is_in_module(target: &str, path: &str) -> bool {
    let Some((module, name)) = path.rsplit_once("::") else { return false };
    is_in(&root().join(target).join(module.replace("::", "/") + ".rs"), name)
}

fn is_below(folder: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => is_below(&path, name),
        false => path.extension().is_some_and(|extension| extension == "rs") && is_in(&path, name),
    })
}

fn is_in(file: &Path, name: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {name}(")))
}

#[test]
fn rows_are_numbered_and_name_their_tests() {
    let (mut section, mut number) = ('A', 0);
    for cells in &rows() {
        number += 1;
        let id = cells[0].as_str();
        if !id.starts_with(section) {
            (section, number) = (char::from_u32(u32::from(section) + 1).unwrap(), 1);
        }
        assert_eq!(id, format!("{section}{number}"), "rows are numbered consecutively");
        assert_eq!(cells.len(), 4, "{cells:?}");
        let shown = &cells[3];
        assert!(tests_in(shown).next().is_some() || shown.contains("not shown"), "{cells:?}");
    }
    assert!(section >= 'J', "the table ends with section {section}");
}

/// The titles of tests of the console that a cell names.
fn titles_in(cell: &str) -> Vec<&str> {
    let named = cell.split_once("`console::console_tests_pass_in_a_browser` (");
    named.and_then(|(_, rest)| rest.split_once(')')).map_or(vec![], |(titles, _)| titles.split("; ").collect())
}

#[test]
fn every_named_title_is_that_of_a_console_test() {
    let specs = fs::read_dir(root().join("console/tests")).unwrap().flatten().map(|entry| entry.path());
    let specs = specs.filter(|path| path.to_str().is_some_and(|path| path.ends_with(".spec.ts")));
    let tests: String = specs.map(|spec| fs::read_to_string(spec).unwrap()).collect();
    let rows = rows();
    let named: Vec<_> =
        rows.iter().flat_map(|cells| titles_in(&cells[3]).into_iter().map(|title| (&cells[0], title))).collect();
    let missing: Vec<_> = named.iter().filter(|(_, title)| !tests.contains(&format!("test(\"{title}\","))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let all = rows.iter().filter(|cells| cells[3].contains("console::console_tests_pass_in_a_browser")).count();
    let with_titles = rows.iter().filter(|cells| !titles_in(&cells[3]).is_empty()).count();
    assert_eq!(with_titles, all, "a row names the run of all console tests without a title");
}

#[test]
fn every_named_test_exists() {
    let rows = rows();
    let named = rows.iter().flat_map(|cells| tests_in(&cells[3]).map(move |test| (&cells[0], test)));
    let missing: Vec<_> = named.filter(|(_, test)| !exists(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
