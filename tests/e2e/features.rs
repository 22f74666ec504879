//! The list of features is complete, and every test that it names exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The sections, and how many rows each has.
const SECTIONS: [(char, usize); 10] =
    [('A', 8), ('B', 5), ('C', 9), ('D', 10), ('E', 8), ('F', 13), ('G', 9), ('H', 11), ('I', 3), ('J', 2)];

/// The top of the sources.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of all tables, in cells, without their titles.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/features.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells.filter(|cells| cells[0] != "#").collect()
}

/// The tests that a cell names: in backticks stands nothing else.
fn tests_in(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether there is such a test. One of a package is looked for in all its files, one of a module in the file of this
/// module.
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
fn every_row_is_there_once_and_says_what_shows_it() {
    let expected = SECTIONS.iter().flat_map(|(section, count)| (1..=*count).map(move |n| format!("{section}{n}")));
    let rows = rows();
    let ids: Vec<_> = rows.iter().map(|cells| cells[0].clone()).collect();
    assert_eq!(ids, expected.collect::<Vec<_>>());
    for cells in &rows {
        assert_eq!(cells.len(), 4, "{cells:?}");
        let shown = &cells[3];
        assert!(tests_in(shown).next().is_some() || shown.contains("not shown"), "{cells:?}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let rows = rows();
    let named = rows.iter().flat_map(|cells| tests_in(&cells[3]).map(move |test| (&cells[0], test)));
    let missing: Vec<_> = named.filter(|(_, test)| !exists(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
