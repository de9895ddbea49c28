//! A server: a process with its data, which may be started again, promoted, stopped, and lose what it has.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::{Changed, Failure, Keeping, State};
use super::data::{Command, Data, Past};
use super::world::Address;

/// Moments that a server can go back to.
const PAST_MAX: usize = 64;
/// When the simulation begins, by the clock of a server.
const BEGINNING: Duration = Duration::from_secs(1_700_000_000);

#[derive(Debug)]
pub(super) struct Server {
    /// The random number of the process; a start draws another one.
    pub(super) run: u64,
    /// The number of its reign; a promotion draws another one.
    pub(super) replication: u64,
    /// Until when it is not there.
    pub(super) down_until: Option<Instant>,
    pub(super) is_master: bool,
    /// Until when it does nothing.
    pub(super) stopped_until: Option<Instant>,
    /// Why it takes nothing.
    pub(super) refuses: Option<String>,
    /// Why nobody may use it.
    pub(super) forbids: Option<String>,
    /// Where its replica stopped following it.
    pub(super) replica: Option<Past>,
    pub(super) data: Data,
    /// The states before the last commands that changed something.
    pub(super) past: VecDeque<Past>,
    /// How far its clock is set back.
    pub(super) set_back: Duration,
    /// Connections that were ended.
    pub(super) ended: HashSet<u64>,
    /// Connections that hear messages.
    pub(super) ears: Vec<Rc<Hearing>>,
    /// Tells that something was appended.
    pub(super) appended: Rc<Notify>,
    /// Tells that a message was told.
    pub(super) told: Rc<Notify>,
    started: Instant,
}

/// A connection that hears messages.
#[derive(Debug)]
pub(super) struct Hearing {
    pub(super) node: u16,
    pub(super) heard: std::cell::RefCell<VecDeque<Bytes>>,
}

impl Server {
    pub(super) fn new((run, replication): (u64, u64), data: Data, started: Instant) -> Self {
        Self {
            run,
            replication,
            down_until: None,
            is_master: true,
            stopped_until: None,
            refuses: None,
            forbids: None,
            replica: None,
            data,
            past: VecDeque::new(),
            set_back: Duration::ZERO,
            ended: HashSet::new(),
            ears: Vec::new(),
            appended: Rc::default(),
            told: Rc::default(),
            started,
        }
    }

    /// Remembers how it is, before a command changes something.
    pub(super) fn remember(&mut self) {
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(self.data.past());
    }

    /// Tells all connections that wait to look again: what they wait for may be gone, and so may the server.
    pub(super) fn wake_all(&self) {
        self.appended.notify_waiters();
        self.told.notify_waiters();
    }

    /// Forgets what its last commands changed.
    pub(super) fn lose(&mut self, commands: usize) {
        for _ in 0..commands {
            let Some(past) = self.past.pop_back() else { return };
            self.data.go_back(&past);
        }
    }

    pub(super) fn state(&self) -> State {
        State {
            process: format!("{:x}:{:x}", self.run, self.replication),
            now: (BEGINNING + self.started.elapsed()).saturating_sub(self.set_back),
            last: self.data.last,
            reign: self.data.reign.clone(),
            keeping: Keeping { replicas: u32::from(self.replica.is_none()), evicts: None },
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.down_until.is_none_or(|until| until <= Instant::now())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped_until.is_some_and(|until| until > Instant::now())
    }

    /// Whether a connection is there.
    pub(super) fn has(&self, connection: Address) -> bool {
        self.run == connection.run && self.is_up() && !self.ended.contains(&connection.number)
    }

    /// Whether a new connection may be used.
    pub(super) fn let_in(&mut self) -> Result<(), Failure> {
        match &self.forbids {
            Some(reason) => Err(Failure::Unusable(reason.clone())),
            None => self.as_master().map(drop),
        }
    }

    /// What a replica refuses.
    pub(super) fn as_master(&mut self) -> Result<&mut Self, Failure> {
        match self.is_master {
            true => Ok(self),
            false => Err(Failure::Moved("READONLY: it is a replica".to_owned())),
        }
    }

    /// Makes a change of a process.
    pub(super) fn change(&mut self, process: u64, command: Command) -> Changed {
        if let Command::Tell(to, message) = &command {
            self.tell(*to, message);
        }
        let is_write = matches!(command, Command::Put(..) | Command::Take(..) | Command::Renew(..));
        if let Some(reason) = self.refuses.as_ref().filter(|_| is_write) {
            return Changed::Refused(reason.clone());
        }
        self.remember();
        self.data.change(process, command)
    }

    /// Tells a message to those who hear it.
    fn tell(&self, to: Option<u16>, message: &Bytes) {
        for hearing in self.ears.iter().filter(|hearing| to.is_none_or(|to| to == hearing.node)) {
            hearing.heard.borrow_mut().push_back(message.clone());
        }
        self.told.notify_waiters();
    }

    /// Ends all connections.
    pub(super) fn end_all(&mut self, connections: u64) {
        self.ended.extend(0..connections);
        self.ears.clear();
    }
}
