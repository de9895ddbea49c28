//! The files that patterns name: `*` and `?` stand for parts of one name, in directories too.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::io::seldom::warn_seldom;
use crate::push::source::Failure;

/// Directory entries that are looked at for one pattern, so that a pattern across a whole disk does not keep the source.
const ENTRIES_MAX: usize = 100_000;

/// The paths that a pattern names, in their order. Directories that cannot be read have none, and a warning says so.
pub(super) fn paths(pattern: &Path) -> Vec<PathBuf> {
    find(pattern, &mut |path, error| {
        warn_seldom!(path = %path.display(), %error, "a directory of a source cannot be read");
    })
}

/// The paths that a pattern names. `failed` is told which directories cannot be read, but for those that are not there.
fn find(pattern: &Path, failed: &mut dyn FnMut(&Path, io::Error)) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    let mut entries = 0;
    for part in pattern.components() {
        match part {
            Component::Normal(name) if is_pattern(name) => {
                found = found
                    .iter()
                    .flat_map(|directory| matching(directory, name, &mut entries, failed))
                    .collect();
            }
            other => found.iter_mut().for_each(|path| path.push(other)),
        }
    }
    found.sort_unstable();
    found
}

fn is_pattern(name: &OsStr) -> bool {
    name.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// The entries of a directory whose name matches. A name that begins with a dot is hidden from `*` and `?`.
fn matching(
    directory: &Path,
    pattern: &OsStr,
    entries: &mut usize,
    failed: &mut dyn FnMut(&Path, io::Error),
) -> Vec<PathBuf> {
    let of = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let read = match of.read_dir() {
        Ok(read) => read,
        Err(error) => {
            // `*` in a directory matches files as well.
            if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                failed(of, error);
            }
            return Vec::new();
        }
    };
    let names = read.flatten().map(|entry| entry.file_name()).take(ENTRIES_MAX.saturating_sub(*entries));
    let mut found = Vec::new();
    for name in names {
        *entries += 1;
        let (bytes, pattern) = (name.as_bytes(), pattern.as_bytes());
        if (bytes.first() != Some(&b'.') || pattern.first() == Some(&b'.')) && matches(pattern, bytes) {
            found.push(directory.join(name));
        }
    }
    found
}

/// Whether a name matches a pattern. `?` is one byte, so a character of several needs several.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on if the rest does not match: behind the last `*`, which then takes one byte more.
    let mut back: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                back = Some((at + 1, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[read] => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((behind, taken)) = back else { return false };
                (at, read) = (behind, taken + 1);
                back = Some((behind, taken + 1));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Whether the directories and files that are there can be opened.
pub(super) fn check(patterns: &[PathBuf]) -> Result<(), Failure> {
    let unreadable = |path: &Path, error| Failure(format!("cannot read {}: {error}", path.display()));
    for pattern in patterns {
        let mut first = None;
        let found = find(pattern, &mut |path, error| {
            first.get_or_insert(unreadable(path, error));
        });
        if let Some(failure) = first {
            return Err(failure);
        }
        for path in found.iter().filter(|path| path.is_file()) {
            std::fs::File::open(path).map_err(|error| unreadable(path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_parts_of_a_name() {
        for (pattern, name, expected) in [
            ("a.log", "a.log", true),
            ("*.log", "a.log", true),
            ("*.log", ".log", true),
            ("*.log*", "a.log.1", true),
            ("*a*b", "xaab", true),
            ("*a*b", "xab.", false),
            ("?.log", "a.log", true),
            ("?.log", "ab.log", false),
            ("*", "", true),
            ("", "a", false),
            ("**", "a", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_reach_through_directories_and_do_not_show_hidden_files() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["x/a.log", "x/.b.log", "y/a.log", "y/c.txt", "top.log"] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let found = paths(&root.join(pattern));
            found
                .iter()
                .map(|path| path.strip_prefix(root).unwrap().display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("*/*.log"), ["x/a.log", "y/a.log"]);
        assert_eq!(found("x/.*"), ["x/.b.log"]);
        assert_eq!(found("missing/*"), [""; 0]);
        assert_eq!(found("missing.log"), ["missing.log"], "a name without a pattern is taken as it is");
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_told_and_one_that_is_not_there_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let circle = directory.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        assert_eq!(check(&[directory.path().join("missing/*"), directory.path().join("file/*")]), Ok(()));
        let Failure(told) = check(&[circle.join("*.log")]).unwrap_err();
        assert!(told.starts_with(&format!("cannot read {}: ", circle.display())), "{told}");
    }
}
