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

#[test]
fn every_named_test_exists() {
    let rows = rows();
    let named = rows.iter().flat_map(|cells| tests_in(&cells[3]).map(move |test| (&cells[0], test)));
    let missing: Vec<_> = named.filter(|(_, test)| !exists(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
