//! A configuration whose sources consume queues of a broker.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use turted::config::{Config, ConfigFile, Sources};

use crate::support::rabbitmq::RabbitMq;
use crate::support::{Child, TestServer, eventually};

/// Where the configuration is, and the address of the broker.
pub(super) struct Setup(TempDir);

impl Setup {
    pub(super) fn new(broker: &RabbitMq) -> Self {
        let setup = Self(tempfile::tempdir().unwrap());
        setup.set_url(&broker.url());
        setup
    }

    /// Writes the file that `url_file` names.
    pub(super) fn set_url(&self, url: &str) {
        let file = self.path("amqp.url");
        fs::write(&file, format!("{url}\n")).unwrap();
        // Otherwise each check warns of it.
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, sources: &str) -> PathBuf {
        let file = self.path("turted.toml");
        let server = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 2\n\n";
        fs::write(&file, [server, sources].concat()).unwrap();
        file
    }

    pub(super) fn config(&self, sources: &str) -> Config {
        let file = ConfigFile::Named(self.write(sources));
        Config::load(&Sources { file, variables: Vec::new(), flags: Vec::new() }).unwrap()
    }

    pub(super) fn server(&self, sources: &str) -> TestServer {
        TestServer::start(self.config(sources))
    }

    /// The program itself.
    pub(super) fn child(&self, sources: &str, variables: &[(&str, &str)]) -> Child {
        let mut shell = Command::new("/bin/sh");
        let config = self.write(sources);
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", config.display())]);
        Child::start_by(shell, variables)
    }

    /// What `turted check --connect` says, and whether it was content.
    pub(super) fn check(&self, sources: &str) -> (i32, String) {
        let config = self.write(sources);
        let arguments = [Path::new("check"), "--connect".as_ref(), "--config".as_ref(), &config];
        let output = Command::new(env!("CARGO_BIN_EXE_turted")).args(arguments).env_clear().output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }
}

/// One source with these further lines.
pub(super) fn source(name: &str, lines: &str) -> String {
    format!("[[sources]]\nname = \"{name}\"\ntype = \"rabbitmq\"\nurl_file = \"amqp.url\"\n{lines}\n\n")
}

/// The series that says whether a source is connected.
pub(super) fn up(name: &str) -> String {
    format!("turted_source_up{{source=\"{name}\"}}")
}

/// The series that counts what became of its messages.
pub(super) fn messages(name: &str, outcome: &str) -> String {
    format!("turted_source_messages_total{{source=\"{name}\",outcome=\"{outcome}\"}}")
}

/// Waits until the sources are connected.
pub(super) fn wait_until_up(server: &TestServer, names: &[&str]) {
    for name in names {
        eventually(&format!("{name} is up"), || server.metric(&up(name)) == 1);
    }
}
