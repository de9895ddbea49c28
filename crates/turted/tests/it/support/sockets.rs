//! The sockets of a server, to see that it closes them.
//!
//! A socket among the descriptors of a process is asked for its address through a copy of it (pidfd_getfd(2)); the
//! tables below `/proc/net` have all sockets of the machine, and take a tenth of a second to read on a busy one.
//! Where copies are forbidden, as to containers, nothing is seen.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;

/// Some sockets of this process, by the number that the kernel gives each of them, never the same twice.
#[derive(Debug)]
pub(crate) struct Sockets(HashSet<String>);

impl Sockets {
    /// Those that listen on one of these ports, and those that were accepted there.
    pub(crate) fn of_ports(ports: &[u16]) -> Self {
        let is_one = |socket: &OwnedFd| port(socket).is_some_and(|port| ports.contains(&port));
        Self(matching(getpid(), is_one).into_iter().collect())
    }

    /// How many of them are open.
    pub(crate) fn open(&self) -> usize {
        all(getpid()).iter().filter(|(_, inode)| self.0.contains(inode)).count()
    }
}

/// How many connections over TCP a process has accepted and not closed, also such as have ended; `None` where that cannot
/// be seen. Connections that it made itself, to a broker, have a port of their own.
pub(crate) fn connections_of(pid: Pid) -> Option<usize> {
    let is_listener = |socket: &OwnedFd| SockRef::from(socket).is_listener().unwrap_or(false);
    let listening = RefCell::new(HashSet::new());
    matching(pid, |socket| {
        let port = port(socket).filter(|_| is_listener(socket));
        port.is_some_and(|port| listening.borrow_mut().insert(port))
    });
    if listening.borrow().is_empty() {
        return None;
    }
    let is_accepted = |socket: &OwnedFd| {
        port(socket).is_some_and(|port| listening.borrow().contains(&port)) && !is_listener(socket)
    };
    Some(matching(pid, is_accepted).len())
}

/// The local port of a socket over TCP.
fn port(socket: &OwnedFd) -> Option<u16> {
    Some(SockRef::from(socket).local_addr().ok()?.as_socket()?.port())
}

/// The sockets of a process that are such.
fn matching(pid: Pid, is_one: impl Fn(&OwnedFd) -> bool) -> Vec<String> {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Vec::new() };
    let sockets = all(pid).into_iter().filter(|(descriptor, _)| {
        // It may have been closed meanwhile, or be another one.
        let copy = pidfd_getfd(&process, *descriptor, PidfdGetfdFlags::empty());
        copy.is_ok_and(|copy| is_one(&copy))
    });
    sockets.map(|(_, inode)| inode).collect()
}

/// The sockets among the descriptors of a process, each with its number in the kernel.
fn all(pid: Pid) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) else { return Vec::new() };
    let socket = |entry: fs::DirEntry| {
        // One that is closed meanwhile has no link any more.
        let link = fs::read_link(entry.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
        Some((entry.file_name().to_str()?.parse().ok()?, inode))
    };
    entries.filter_map(|entry| socket(entry.ok()?)).collect()
}

#[test]
fn a_socket_is_seen_until_it_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    if connections_of(getpid()).is_none() {
        return;
    }
    let sockets = Sockets::of_ports(&[listener.local_addr().unwrap().port()]);
    assert_eq!(sockets.open(), 2);
    // Also when its other end is closed, and nothing can be read from it any more.
    drop(client);
    assert_eq!((&accepted).read(&mut [0]).unwrap(), 0);
    assert_eq!(sockets.open(), 2);
    drop(accepted);
    assert_eq!(sockets.open(), 1);
    drop(listener);
    assert_eq!(sockets.open(), 0);
}
