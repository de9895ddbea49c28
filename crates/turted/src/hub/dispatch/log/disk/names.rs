//! The names of numbered files, `<kind>-<epoch>-<number>.log`, and how a name that was made or removed becomes one for good.

use std::fs::File;
use std::io;
use std::path::Path;

/// The kind of push files.
pub(crate) const PUSHES: &str = "push";
/// The kind of the files of the session writer.
pub(crate) const SESSIONS: &str = "session";

/// The name of a file.
pub(crate) fn format_name(kind: &str, epoch: u64, number: u64) -> String {
    format!("{kind}-{epoch:08x}-{number}.log")
}

/// The epoch and the number of a file of this kind. Only as they are written, so that no two names mean the same.
pub(crate) fn parse_name(kind: &str, name: &str) -> Option<(u64, u64)> {
    let name_of_kind = name.strip_prefix(kind)?.strip_prefix('-')?;
    let (epoch, number) = name_of_kind.strip_suffix(".log")?.split_once('-')?;
    let (epoch, number) = (u64::from_str_radix(epoch, 16).ok()?, number.parse().ok()?);
    (format_name(kind, epoch, number) == name).then_some((epoch, number))
}

/// Makes names in a directory that were made or removed survive a loss of power.
pub(crate) fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_only_as_it_is_written() {
        assert_eq!(format_name("push", 0xA, 3), "push-0000000a-3.log");
        assert_eq!(parse_name("push", "push-0000000a-3.log"), Some((0xA, 3)));
        for name in [
            "push-a-3.log",
            "push-0000000A-3.log",
            "push-0000000a-03.log",
            "push-0000000a-+3.log",
            "push-0000000a-3.log.bak",
            "push-0000000a.log",
            "session-0000000a-3.log",
            "push0000000a-3.log",
        ] {
            assert_eq!(parse_name("push", name), None, "{name}");
        }
    }
}
