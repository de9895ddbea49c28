//! A real redis-server as a child, and a client for it made of a bare socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use turted_core::wire::resp::{Decoder, Reply, push_command};

use super::{PATIENCE, eventually, ports};

/// A server on a port of its own, which writes down all it is told before it answers, until the end of the test.
pub(crate) struct RedisServer {
    port: u16,
    directory: TempDir,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    process: Child,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these further options. It must let this test in without a password.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::with_variables(options, Vec::new())
    }

    /// The same, with these variables in its environment.
    pub(crate) fn with_variables(options: &[&str], variables: Vec<(String, String)>) -> Self {
        let [port] = ports::free();
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = spawn(port, directory.path(), &options, &variables);
        let server = Self { port, directory, options, variables, process };
        server.wait();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Redis {
        Redis::connect(self.port)
    }

    /// Waits until it answers.
    fn wait(&self) {
        eventually("redis-server answers", || {
            Redis::try_connect(self.port)
                .is_some_and(|mut redis| !matches!(redis.try_ask(&["PING"]), None | Some(Reply::Error(_))))
        });
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.process = spawn(self.port, self.directory.path(), &self.options, &self.variables);
        self.wait();
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, directory: &Path, options: &[String], variables: &[(String, String)]) -> Child {
    // Another version of it, or Valkey.
    let program = std::env::var_os("TURTED_TEST_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(directory)
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--loglevel", "warning"])
        // It would wait for more replicas that want the same.
        .args(["--repl-diskless-sync-delay", "0"])
        .args(options)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server (Debian package redis-server)")
}

/// A connection.
pub(crate) struct Redis {
    stream: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
}

impl Redis {
    fn try_connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Self { stream, decoder: Decoder::default(), buffer: BytesMut::new() })
    }

    pub(crate) fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("redis-server listens")
    }

    /// Sends commands at once, and returns their replies.
    pub(crate) fn ask_all<P: AsRef<[u8]>>(&mut self, commands: &[Vec<P>]) -> Vec<Reply> {
        let mut out = Vec::new();
        commands.iter().for_each(|command| push_command(&mut out, command));
        self.stream.write_all(&out).unwrap();
        commands.iter().map(|_| self.read().expect("a reply")).collect()
    }

    pub(crate) fn try_ask<P: AsRef<[u8]>>(&mut self, command: &[P]) -> Option<Reply> {
        let mut out = Vec::new();
        push_command(&mut out, command);
        self.stream.write_all(&out).ok()?;
        self.read()
    }

    /// Sends a command that succeeds.
    pub(crate) fn ask<P: AsRef<[u8]>>(&mut self, command: &[P]) -> Reply {
        let reply = self.try_ask(command).expect("a reply");
        assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
        reply
    }

    /// The number that a command answers.
    pub(crate) fn number<P: AsRef<[u8]>>(&mut self, command: &[P]) -> i64 {
        match self.ask(command) {
            Reply::Integer(number) => number,
            reply => panic!("{reply:?}"),
        }
    }

    fn read(&mut self) -> Option<Reply> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some(reply);
            }
            match self.stream.read(&mut chunk) {
                Ok(read) if read > 0 => self.buffer.extend_from_slice(&chunk[..read]),
                _ => return None,
            }
        }
    }
}
