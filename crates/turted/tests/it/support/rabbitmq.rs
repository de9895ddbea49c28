//! A broker of its own for a test: RabbitMQ from Debian as a child, on free ports, with its own data and names.
//!
//! Erlang wants a second program, epmd, which finds nodes by their names. It runs as a child too, on a port of its own:
//! the one of the machine is not touched, and none is left behind.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::amqp::Publisher;
use super::authority::Authority;
use super::{pause, ports};

/// Where Debian has the programs; those in /usr/sbin change the user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
/// How long a broker may take to start. It takes 4 s of a processor, which others may use as well.
const START_WAIT: Duration = Duration::from_secs(90);

/// The user of the broker, who may do everything.
pub(crate) const USER: &str = "turted";
/// Its password, to look for in whatever is shown.
pub(crate) const PASSWORD: &str = "canary-of-rabbits";

/// A broker.
pub(crate) struct RabbitMq {
    directory: TempDir,
    ports: Ports,
    epmd: Child,
    node: Option<Child>,
}

#[derive(Clone, Copy)]
struct Ports {
    amqp: u16,
    tls: u16,
    distribution: u16,
    epmd: u16,
}

impl RabbitMq {
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    /// One that also speaks TLS, and lets only clients in for which the authority vouches.
    pub(crate) fn with_tls(authority: &Authority) -> Self {
        let (cert, key) = authority.issue("localhost");
        let (ca, cert, key) = (authority.path("ca.pem"), cert.display(), key.display());
        Self::configured(&format!(
            "ssl_options.cacertfile = {}\nssl_options.certfile = {cert}\nssl_options.keyfile = {key}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            ca.display()
        ))
    }

    fn configured(tls: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports = Ports::free();
        let mut configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n\
             default_user_tags.administrator = true\ndisk_free_limit.absolute = 1MB\nlog.console = true\n\
             log.console.level = warning\nlog.file = false\n",
            ports.amqp
        );
        if !tls.is_empty() {
            configuration += &format!("listeners.ssl.1 = 127.0.0.1:{}\n{tls}", ports.tls);
        }
        fs::write(directory.path().join("rabbitmq.conf"), configuration).unwrap();
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &ports.epmd.to_string(), "-address", "127.0.0.1"]);
        let epmd = epmd.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let epmd = epmd.unwrap_or_else(|error| panic!("epmd of the Debian package rabbitmq-server: {error}"));
        let mut broker = Self { directory, ports, epmd, node: None };
        broker.run();
        broker
    }

    /// Starts it, after a [`kill`](Self::kill) with the data that it had.
    pub(crate) fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut server = self.command("rabbitmq-server");
        server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.node = Some(server.spawn().unwrap());
        self.wait_until_up();
    }

    /// Waits until it lets clients in.
    pub(crate) fn wait_until_up(&self) {
        let deadline = Instant::now() + START_WAIT;
        while Publisher::try_connect(&self.url()).is_none() {
            assert!(Instant::now() < deadline, "no broker within {START_WAIT:?}: {}", self.log());
            pause(Duration::from_millis(50));
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.amqp).into()
    }

    /// Its address with the user that may do everything.
    pub(crate) fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    pub(crate) fn url_with(&self, password: &str) -> String {
        format!("amqp://{USER}:{password}@127.0.0.1:{}/", self.ports.amqp)
    }

    /// Its address over TLS, by the name that is in its certificate.
    pub(crate) fn tls_url(&self) -> String {
        format!("amqps://{USER}:{PASSWORD}@localhost:{}/", self.ports.tls)
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::try_connect(&self.url()).expect("a connection to the broker")
    }

    /// Ends it without any warning.
    pub(crate) fn kill(&mut self) {
        let mut node = self.node.take().expect("the broker runs");
        node.kill().unwrap();
        node.wait().unwrap();
    }

    /// Stops its processes, which keep their sockets, until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.node.as_ref().expect("the broker runs")), signal).unwrap();
    }

    /// Tells it something, as its operator would.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let output = self.command("rabbitmqctl").arg("--quiet").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn log_path(&self) -> PathBuf {
        self.path("log")
    }

    /// What it logged: warnings and errors.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(Path::new(PROGRAMS).join(program));
        let ports = self.ports;
        command
            .env("HOME", self.directory.path())
            .env("LANG", "C.UTF-8")
            // Then the shell becomes the node instead of waiting for it, and a signal hits the node.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", format!("turted-{}@localhost", ports.amqp))
            .env("RABBITMQ_NODE_PORT", ports.amqp.to_string())
            .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
            .env("ERL_EPMD_PORT", ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            // One scheduler, which sleeps instead of spinning: other tests need the processors.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none");
        for (variable, name) in [
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "logs"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            command.env(variable, self.path(name));
        }
        command
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        for child in self.node.iter_mut().chain([&mut self.epmd]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("the broker logged:\n{}", self.log());
        }
    }
}

impl Ports {
    fn free() -> Self {
        let [amqp, tls, distribution, epmd] = ports::free();
        Self { amqp, tls, distribution, epmd }
    }
}
