//! Where a configuration comes from.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where a configuration comes from. Nothing else is read, so that a test can pass all of it.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The configuration file.
    pub file: ConfigFile,
    /// The environment. Of the variables that do not start with `TURTED_`, only `STATE_DIRECTORY` of systemd counts.
    pub variables: Vec<(OsString, OsString)>,
    /// What the command line says.
    pub flags: Vec<Flag>,
}

/// Which configuration file is read.
#[derive(Clone, Debug)]
pub enum ConfigFile {
    /// This one, if it exists: `turted.toml` in the working directory.
    IfPresent(PathBuf),
    /// This one, which was named: it must exist.
    Named(PathBuf),
}

/// One flag of the command line that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The key it sets.
    pub key: &'static str,
    /// Its name, as in `--listen`.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}
