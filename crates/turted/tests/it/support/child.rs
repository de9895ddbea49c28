//! The program itself as a child: for what only a process of its own shows, such as its log, its
//! memory and its descriptors.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::sockets::connections_of;
use super::{Client, Http, Kind, Metrics, eventually};

pub(crate) struct Child {
    process: std::process::Child,
    address: SocketAddr,
    admin: SocketAddr,
    readers: Vec<JoinHandle<String>>,
}

impl Child {
    /// Starts the program on free ports, with these variables and no others.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_turted")), variables)
    }

    /// The same with so few file descriptors.
    pub(crate) fn start_with_descriptors(few: usize, variables: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("ulimit -n {few} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_turted")]);
        Self::run(shell, variables)
    }

    /// The same, with a standard error that nobody reads until the test does.
    pub(crate) fn start_unread(variables: &[(&str, &str)]) -> (Self, ChildStderr) {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_turted")), variables)
    }

    /// The same, with `socket` handed over as systemd does (sd_listen_fds(3)): as descriptor 3, to this process alone.
    pub(crate) fn start_with_socket(socket: &impl AsFd, variables: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("/bin/sh");
        let script = "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 </dev/null";
        shell.args(["-c", script, env!("CARGO_BIN_EXE_turted")]);
        let socket = socket.as_fd().try_clone_to_owned().unwrap();
        let (mut child, errors) = Self::spawn_with(shell, socket.into(), variables);
        child.readers.push(read_all(errors));
        child
    }

    /// The same, run by `command`, which is given the program and its arguments.
    pub(crate) fn start_by(mut command: Command, variables: &[(&str, &str)]) -> Self {
        command.arg(env!("CARGO_BIN_EXE_turted"));
        Self::run(command, variables)
    }

    /// The same, with a standard error that nobody reads until the test does.
    pub(crate) fn start_unread_by(mut command: Command, variables: &[(&str, &str)]) -> (Self, ChildStderr) {
        command.arg(env!("CARGO_BIN_EXE_turted"));
        Self::spawn(command, variables)
    }

    fn run(command: Command, variables: &[(&str, &str)]) -> Self {
        let (mut child, errors) = Self::spawn(command, variables);
        child.readers.push(read_all(errors));
        child
    }

    fn spawn(command: Command, variables: &[(&str, &str)]) -> (Self, ChildStderr) {
        Self::spawn_with(command, Stdio::null(), variables)
    }

    fn spawn_with(mut command: Command, input: Stdio, variables: &[(&str, &str)]) -> (Self, ChildStderr) {
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "2"])
            .env_clear()
            .env("TURTED_ADMIN_LISTEN", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = process.stderr.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut banner = String::new();
        let mut address_behind = |prefix: &str| loop {
            if let Some((_, rest)) = banner.split_once(prefix)
                && let Some((_, rest)) = rest.split_once("://")
                && let Some((address, _)) = rest.split_once('\n')
            {
                break address.parse().unwrap();
            }
            assert!(output.read_line(&mut banner).unwrap() > 0, "no {prefix} in {banner}");
        };
        let address = address_behind("listening on ");
        let admin = address_behind("admin on ");
        let readers = vec![read_all(std::io::Cursor::new(banner).chain(output))];
        (Self { process, address, admin, readers }, errors)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address)
    }

    pub(crate) fn client(&self, kind: Kind) -> Client {
        Client::connect(self.address, kind)
    }

    /// What it counts in one series.
    pub(crate) fn metric(&self, series: &str) -> usize {
        Metrics::read(&mut self.admin()).value(series)
    }

    /// A connection to its admin listener.
    pub(crate) fn admin(&self) -> Http {
        Http::connect(self.admin)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Kills it, so that it does nothing more.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.process.try_wait().unwrap().is_some());
        self.process.wait().unwrap()
    }

    /// The time of a processor it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 on every Linux there is.
        Duration::from_millis(ticks * 10)
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most of it there was since it was forgotten.
    pub(crate) fn most_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    /// From here on counts what is most (man proc: 5 resets the peak).
    pub(crate) fn forget_most_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> usize {
        bytes_of(self.process.id(), name)
    }

    /// Ends it as an operator would, and returns all it wrote. It must end well, and have no socket open that it
    /// does not count.
    pub(crate) fn stop(self) -> String {
        self.assert_sockets_counted();
        self.signal(Signal::TERM);
        self.finish()
    }

    /// Every socket it has open is of a connection that it counts, but for the one that asks. Connections come and go
    /// in between: the two numbers must meet once.
    fn assert_sockets_counted(&self) {
        let mut admin = self.admin();
        if admin.get("/metrics").status != 200 {
            // It wants a token that only the test knows.
            return;
        }
        eventually("each open socket is counted", || {
            let metrics = Metrics::read(&mut admin);
            let counted = metrics.value("turted_sockets") + metrics.value("turted_spare_sockets");
            connections_of(self.pid()).is_none_or(|open| open == counted + 1)
        });
    }

    /// Waits for its end, which must be a good one, and returns all it wrote.
    pub(crate) fn finish(mut self) -> String {
        let status = self.process.wait().unwrap();
        let output: String = self.readers.drain(..).map(|reader| reader.join().unwrap()).collect();
        assert!(status.success(), "{status}: {output}");
        output
    }
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(process: u32) -> usize {
    bytes_of(process, "VmRSS:")
}

fn bytes_of(process: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

impl Drop for Child {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for reader in self.readers.drain(..) {
            println!("{}", reader.join().unwrap_or_default());
        }
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = from.read_to_string(&mut text);
        text
    })
}

/// Raises our own limit of descriptors as far as it goes: each client takes one.
pub(crate) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}
