//! A configuration as an operator writes it, and what becomes of it.
//!
//! | file | what |
//! |---|---|
//! | `sources` | which source wins, and which is read |
//! | `credentials`, `authenticators` | authenticators and their secrets; JSON Web Tokens and the backend |
//! | `channels`, `tls`, `log`, `cluster` | rules for channels; certificate and key, and proxies; where the log stands; the cluster |
//! | `push_keys` | passwords for pushes, and the backend that is asked instead |
//! | `push_sources`, `redis_sources`, `hooks` | sources of every type; those in Redis; hooks |
//! | `messages`, `snapshots`, `together` | what is told of one problem; every message of a kind; several problems at once |
//! | `docs`, `packaging` | what `docs/configuration.md` and `packaging/` say of the keys |

mod sources;
mod credentials;
mod authenticators;
mod channels;
mod push_keys;
mod push_sources;
mod redis_sources;
mod hooks;
mod tls;
mod log;
mod cluster;
mod messages;
mod snapshots;
mod together;
mod docs;
mod packaging;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::settings::{SETTINGS, Settings};
use super::*;

/// A working directory with the file, and other files that a case needs.
struct Place(TempDir);

impl Place {
    fn new(toml: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("turted.toml", toml);
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
        set_mode(&self.0.path().join(name), 0o600);
    }

    fn load(&self, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Loaded, String> {
        let owned = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let flag =
            |(key, value): &(&'static str, &str)| Flag { key, name: "--flag", value: (*value).to_owned() };
        let sources = Sources {
            file: ConfigFile::Named(self.0.path().join("turted.toml")),
            variables: variables.iter().map(owned).collect(),
            flags: flags.iter().map(flag).collect(),
        };
        load(&sources).map_err(|error| self.strip(&error.to_string()))
    }

    /// `text` without the temporary directory.
    fn strip(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn check(toml: &str, variables: &[(&str, &str)], message: &str) {
    let error = Place::new(toml).load(variables, &[]).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(error, message, "{toml}");
}
