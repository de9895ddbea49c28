//! The sockets of a server, to see that it closes them.

use std::collections::HashSet;
use std::fs;

use rustix::process::Pid;

/// A socket as the tables of the kernel have it (man proc, `/proc/net/tcp`).
struct Row {
    /// The number that the kernel gives a socket, never the same twice; 0 for one that no process holds.
    inode: String,
    port: u16,
    listens: bool,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = u16::from_str_radix(fields[1].rsplit_once(':')?.1, 16).ok()?;
        let row = Self { inode: fields[9].to_owned(), port, listens: fields[3] == "0A" };
        (row.inode != "0").then_some(row)
    }

    /// Those of IPv4 and IPv6.
    fn all() -> Vec<Self> {
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        tables.iter().flat_map(|table| table.lines().skip(1).filter_map(Self::parse)).collect()
    }
}

/// Some sockets of this process.
#[derive(Debug)]
pub(crate) struct Sockets(HashSet<String>);

impl Sockets {
    /// Those that listen on one of these ports, and those that were accepted there.
    pub(crate) fn of_ports(ports: &[u16]) -> Self {
        let rows = Row::all().into_iter().filter(|row| ports.contains(&row.port));
        Self(rows.map(|row| row.inode).collect())
    }

    /// How many of them are open.
    pub(crate) fn open(&self) -> usize {
        held_by("self").iter().filter(|inode| self.0.contains(*inode)).count()
    }
}

/// How many connections over TCP a process has open, also such as have ended and that it did not close.
pub(crate) fn connections_of(pid: Pid) -> usize {
    let held = held_by(&pid.as_raw_nonzero().to_string());
    let local = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut others: HashSet<&str> =
        local.lines().skip(1).filter_map(|line| line.split_whitespace().nth(6)).collect();
    let rows = Row::all();
    others.extend(rows.iter().filter(|row| row.listens).map(|row| row.inode.as_str()));
    held.iter().filter(|inode| !others.contains(inode.as_str())).count()
}

/// The sockets among the descriptors of a process.
fn held_by(process: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    // One that is closed meanwhile has no link any more.
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inode = |link: &str| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    links.filter_map(|link| inode(link.to_str()?)).collect()
}
