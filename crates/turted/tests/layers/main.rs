//! The layers of `crates/turted/src` hold: imports go downwards only, and no more than three files import each
//! other in a circle.
//!
//! Every path is followed to the file that defines what it names, also those in macros and in the strings of
//! attributes. Where a macro names only a module, its file counts. What could hide an import is forbidden:
//! `extern crate`, `include!`, `#[path]`, say.
//!
//! The file of a method that is called as `value.method()` is not seen: so an `impl` stands in the layer of
//! something that it names. Nor are paths that a macro puts together from single tokens, and what macros of
//! other crates make of their input.
//!
//! | file | what |
//! |---|---|
//! | `tree`, `resolve` | the modules of a crate; from a path to the file that defines its name |
//! | `graph` | which file imports which names of which other file |
//! | `layers`, `circles` | imports that go upwards, and what could hide them; circles of files |
//! | `cases` | the checks, tested on small crates |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, also in its helpers")]

mod tree;
mod resolve;
mod graph;
mod layers;
mod circles;
mod cases;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use circles::circles;
use graph::Graph;
use layers::{folders, violations};
use tree::{Sources, Tree};

/// The Rust files of this crate.
static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
    let mut sources = Sources::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    sources
});
static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::of(&SOURCES));

fn read(directory: &Path, prefix: &str, sources: &mut Sources) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &format!("{prefix}{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(format!("{prefix}{name}"), fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// Shows everything that was found, one per line.
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_layers_hold() {
    let (files, imports) = (GRAPH.files.len(), GRAPH.imports.len());
    assert!(files > 100, "only {files} files with {imports} imports were read");
    assert!(imports > 500, "only {files} files with {imports} imports were read");
    assert_none(&violations(&GRAPH));
}

#[test]
fn no_more_than_three_files_import_each_other_in_a_circle() {
    assert_none(&circles(&GRAPH));
}

/// A path that is not understood may hide an import.
#[test]
fn every_path_within_the_crate_leads_to_a_file() {
    assert_none(&GRAPH.unknown.iter().cloned().collect::<Vec<_>>());
}

/// The check also works on this crate, not only on the small crates of `cases`.
#[test]
fn an_import_upwards_that_is_added_is_found() {
    let low = GRAPH.files.iter().find(|file| file.starts_with("io/")).expect("a file of io");
    let modules = Tree::read(&SOURCES).modules;
    let high = modules.iter().find(|module| module.file.starts_with("http/") && !module.names.is_empty());
    let (high, name) =
        high.map(|module| (&module.file, module.names.first().unwrap())).expect("an item of http");
    let path = high.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let mut seeded = SOURCES.clone();
    seeded.get_mut(low).unwrap().push_str(&format!("\nuse crate::{path}::{name} as Seed;\n"));

    let edge = format!(
        "crates/turted/src/{low} imports {high} ({name}): io lies below http, imports go downwards only"
    );
    assert!(!violations(&GRAPH).contains(&edge));
    assert!(violations(&Graph::of(&seeded)).contains(&edge), "{edge}");
}

/// `lib.rs` gives the reading order. It needs `reorder_modules = false` in `rustfmt.toml`.
#[test]
fn the_library_declares_its_folders_in_the_order_of_the_layers() {
    let library = syn::parse_file(&SOURCES["lib.rs"]).unwrap();
    let declared: Vec<_> = library.items.iter().filter_map(tree::declared).collect();
    assert_eq!(declared, folders());
}
