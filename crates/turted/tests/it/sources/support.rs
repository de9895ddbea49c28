//! A directory with logs, and a configuration whose source reads them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use turted::config::{Config, ConfigFile, Sources};

use crate::support::{Child, TestServer, eventually};

/// Whether the source is connected.
pub(crate) const UP: &str = r#"turted_source_up{source="app"}"#;

/// A map for lines that begin with a level.
pub(crate) const MAP: &str =
    "map = { match = '^(?<level>[A-Z]+) ', event = \"LOG:{level}\", channels = [\"log.{file}\"] }\n";

pub(crate) struct Logs(TempDir);

impl Logs {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        self.append_bytes(name, text.as_bytes());
    }

    pub(crate) fn append_bytes(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Writes a configuration: a source of type `tail` for every file that ends with `.log` or with more behind that, with
    /// these further lines.
    fn write(&self, lines: &str) -> PathBuf {
        let (paths, state) = (self.path("*.log*"), self.path("state"));
        let toml = format!(
            "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 2\n\n[[sources]]\nname = \"app\"\n\
             type = \"tail\"\npaths = [{paths:?}]\nstate_dir = {state:?}\n{lines}"
        );
        let file = self.path("turted.toml");
        fs::write(&file, toml).unwrap();
        file
    }

    pub(crate) fn config(&self, lines: &str) -> Config {
        let file = ConfigFile::Named(self.write(lines));
        Config::load(&Sources { file, variables: Vec::new(), flags: Vec::new() }).unwrap()
    }

    /// A server that has begun to read.
    pub(crate) fn server(&self, lines: &str) -> TestServer {
        let server = TestServer::start(self.config(lines));
        eventually("the source is up", || server.metric(UP) == 1);
        server
    }

    /// The program itself, which has begun to read.
    pub(crate) fn child(&self, lines: &str, variables: &[(&str, &str)]) -> Child {
        let mut shell = Command::new("/bin/sh");
        let config = self.write(lines);
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", config.display())]);
        let child = Child::start_by(shell, variables);
        eventually("the source is up", || child.metric(UP) == 1);
        child
    }
}
