//! The program itself as a child: for what only a process of its own shows, such as its log, its
//! memory and its descriptors.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use super::{Client, Http, Kind};

pub(crate) struct Child {
    process: std::process::Child,
    address: SocketAddr,
    readers: Vec<JoinHandle<String>>,
}

impl Child {
    /// Starts the program on a free port, with these variables and no others.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_turted"))
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "2"])
            .env_clear()
            .envs(variables.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = process.stderr.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut banner = String::new();
        let address = loop {
            assert!(output.read_line(&mut banner).unwrap() > 0, "no address: {banner}");
            if let Some((_, rest)) = banner.split_once("listening on http://") {
                break rest.trim().parse().unwrap();
            }
        };
        let readers = vec![read_all(std::io::Cursor::new(banner).chain(output)), read_all(errors)];
        Self { process, address, readers }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address)
    }

    pub(crate) fn client(&self, kind: Kind) -> Client {
        Client::connect(self.address, kind)
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Ends it as an operator would, and returns all it wrote. It must end well.
    pub(crate) fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let status = self.process.wait().unwrap();
        let output: String = self.readers.drain(..).map(|reader| reader.join().unwrap()).collect();
        assert!(status.success(), "{status}: {output}");
        output
    }
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
