//! ARCHITECTURE.md is the map: it has every folder of the server's crate and every file of the other two, and no
//! other. The head of each folder's `mod.rs` has the files beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MAP: &str = include_str!("../../../../ARCHITECTURE.md");
/// More than that nobody reads before they begin.
const LINES_MAX: usize = 200;

/// What the table below "`crates/NAME/src/`" names in its first column: files, and directories with a slash.
fn named(source: &str) -> BTreeSet<String> {
    let (_, below) = MAP.split_once(&format!("\n`{source}`")).expect("the map of this crate");
    first_column(below.lines().skip(1))
}

/// What the first column of the first table in `lines` has between backticks.
fn first_column<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).flat_map(expand).collect()
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn expand(name: &str) -> Vec<String> {
    let Some((start, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (choices, end) = rest.split_once('}').expect("both braces");
    choices.split(',').map(|choice| format!("{start}{choice}{end}")).collect()
}

/// Every Rust file below `directory`, but for tests and what only says which files are beside it.
fn files(directory: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if name != "tests" {
                files(&entry.path(), &format!("{prefix}{name}/"), found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.insert(format!("{prefix}{name}"));
        }
    }
}

/// The folders of the server's crate that have files, with a slash.
fn folders(source: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(source).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && name != "tests" {
            found.insert(format!("{prefix}{name}/"));
            folders(&entry.path(), &format!("{prefix}{name}/"), found);
        }
    }
}

#[test]
fn the_map_has_every_folder_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (named, mut there) = (named("crates/turted/src/"), BTreeSet::new());
    folders(&root, "", &mut there);
    let gone: Vec<_> = named.iter().filter(|name| !root.join(name).exists()).collect();
    assert!(gone.is_empty(), "there is no {gone:?}");
    // A folder inside one that is named is in that one's own table.
    let is_named = |folder: &&String| {
        named.contains(*folder)
            || named.iter().any(|name| name.starts_with(folder.as_str()))
            || folder.split_inclusive('/').count() > 1
    };
    let missing: Vec<_> = there.iter().filter(|folder| !is_named(folder)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
}

#[test]
fn the_map_has_every_file_of_the_small_crates_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for source in ["crates/bench/src/", "crates/core/src/"] {
        let (named, mut there) = (named(source), BTreeSet::new());
        files(&root.join(source), "", &mut there);
        assert!(there.len() > 10, "{source}");
        let gone: Vec<_> = named.iter().filter(|name| !root.join(source).join(name).exists()).collect();
        assert!(gone.is_empty(), "{source} has none of {gone:?}");
        let directories: Vec<_> = named.iter().filter(|name| name.ends_with('/')).collect();
        let is_named = |file: &&String| {
            named.contains(*file)
                || file.ends_with("mod.rs")
                || *file == "lib.rs"
                || directories.iter().any(|directory| file.starts_with(directory.as_str()))
        };
        let missing: Vec<_> = there.iter().filter(|file| !is_named(file)).collect();
        assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?} of {source}");
    }
}

/// The modules beside a `mod.rs`, by name: `a.rs`, and `b/mod.rs`.
fn modules(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        match name.strip_suffix(".rs") {
            Some("mod") => None,
            Some(file) => Some(file.to_owned()),
            None => entry.path().join("mod.rs").exists().then_some(name),
        }
    });
    names.collect()
}

#[test]
fn every_folder_says_what_is_in_its_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut there = BTreeSet::new();
    folders(&root, "", &mut there);
    let mut seen = 0;
    for folder in there {
        let Ok(source) = fs::read_to_string(root.join(&folder).join("mod.rs")) else { continue };
        let head = source.lines().take_while(|line| line.starts_with("//!"));
        let named = first_column(head.map(|line| line[3..].trim_start()));
        assert_eq!(
            named,
            modules(&root.join(&folder)),
            "the head of {folder}mod.rs, and the files beside it"
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen} folders");
}

#[test]
fn the_map_stays_short_enough_to_be_read() {
    assert!(MAP.lines().count() <= LINES_MAX);
}
