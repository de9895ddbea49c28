//! The pages of the repository that people read: their texts, their links and their headings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Every file below `directory` whose name ends so, by its path from the root.
pub(crate) fn files(directory: &str, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap().map(Result::unwrap) {
        let path = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, end));
        } else if path.ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// The pages of the repository that people read.
pub(crate) fn pages() -> Vec<String> {
    let mut pages = files("docs", ".md");
    let others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md", "packaging/README.md"];
    pages.extend(others.map(str::to_owned));
    pages
}

/// The text of a page without its blocks of code.
pub(crate) fn prose(page: &str) -> String {
    read(page).split("```").step_by(2).collect()
}

/// What a page links to, without what is on other hosts.
pub(crate) fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    // A packet of Socket.IO, `44["name"](..)` say, is no link.
    let own =
        targets.map(|(target, _)| target).filter(|target| !target.contains("://") && !target.contains('"'));
    own.map(str::to_owned).collect()
}

/// The path from the root of what `page` links to, and the heading in it, if one is named.
pub(crate) fn resolve(page: &str, target: &str) -> (String, Option<String>) {
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading.to_owned())),
        None => (target, None),
    };
    if path.is_empty() {
        return (page.to_owned(), heading);
    }
    let mut parts: Vec<_> = Path::new(page).parent().unwrap().components().collect();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(parts.pop().expect("links stay in the repository")),
            part => parts.push(part),
        }
    }
    let resolved: PathBuf = parts.iter().collect();
    (resolved.to_str().unwrap().to_owned(), heading)
}

/// The names by which the headings of a page are linked to, as GitHub makes them.
pub(crate) fn headings(page: &str) -> BTreeSet<String> {
    let text = prose(page);
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_matches(['#', ' ']));
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    titles
        .map(|title| title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}
