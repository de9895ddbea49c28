//! What goes wrong: with what is sent, and with servers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::data::Data;
use super::dice::Dice;
use super::server::Server;
use super::world::World;

/// How long what is sent is on its way, at most.
const WAY: Duration = Duration::from_millis(2);
/// What the clock of tokio counts.
pub(super) const STEP: Duration = Duration::from_millis(1);
/// How long it is on a slow way.
const SLOW: Duration = Duration::from_secs(1);
/// How late what an abandoned connection had sent comes.
const LATE: Duration = Duration::from_secs(4);

/// How often in a thousand commands something goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chances {
    /// The connection breaks before the command comes to the server.
    pub(crate) before: u32,
    /// The command is done, then the connection breaks.
    pub(crate) after: u32,
    /// The connection breaks, and the command is done later, unless the server has ended the connection.
    pub(crate) late: u32,
    /// There is never an answer. The command is done, or not.
    pub(crate) silence: u32,
    /// It takes up to a second.
    pub(crate) slow: u32,
}

/// What an engine does wrong when its code has a mistake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flaws {
    /// It connects anew without ending the former connection.
    pub(crate) leaves_former: bool,
    /// It stores the key of a push before it appends, and leaves it if that fails.
    pub(crate) stores_key_first: bool,
    /// It says that the process of the server is the one that it has always been.
    pub(crate) hides_process: bool,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Before,
    After,
    Late(Duration),
    Silence,
}

/// What a server loses when it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    /// What its last so many commands have changed.
    Tail(usize),
    Everything,
    /// The log alone.
    Log,
    /// The key that says which epoch reigns.
    Reign,
}

impl Chances {
    /// Draws what becomes of a command.
    pub(super) fn fate(&self, dice: &Dice) -> Fate {
        let drawn = (dice.number() % 1_000) as u32;
        let ends = [self.before, self.after, self.late, self.silence].into_iter();
        let ends = ends.scan(0, |sum, chance| {
            *sum += chance;
            Some(*sum)
        });
        match ends.take_while(|end| *end <= drawn).count() {
            0 => Fate::Before,
            1 => Fate::After,
            2 => Fate::Late(dice.time(LATE)),
            3 => Fate::Silence,
            _ => Fate::Done,
        }
    }

    /// Draws how long a command, or its answer, is on its way.
    pub(super) fn way(&self, dice: &Dice) -> Duration {
        let most = if dice.happens(self.slow) { SLOW } else { WAY };
        dice.time(most)
    }
}

impl Server {
    fn suffer(&mut self, loss: Loss) {
        match loss {
            Loss::Nothing => {}
            Loss::Tail(commands) => self.lose(commands),
            Loss::Everything => self.data = Data::default(),
            Loss::Log => self.data.forget_log(),
            Loss::Reign => self.data.reign = None,
        }
        if !matches!(loss, Loss::Nothing | Loss::Tail(_)) {
            self.past.clear();
            self.replica = None;
        }
    }
}

/// Waits as long as something is on its way. What takes no whole step of the clock takes no time.
pub(super) async fn pass(way: Duration) {
    if way >= STEP {
        sleep(way).await;
    }
}

/// Faults of servers.
impl World {
    /// The master ends and loses something. It is there again after a while.
    pub(crate) fn restart(&self, loss: Loss, down: Duration) {
        let run = self.dice.number();
        self.with_master(|server, connections| {
            server.end_all(connections);
            server.suffer(loss);
            (server.run, server.replication) = (run, run);
            server.stopped_until = None;
            server.down_until = Some(Instant::now() + down);
        });
    }

    /// Servers that still are masters for some processes, though another one is the master, end and are there again at once,
    /// with all that they had.
    pub(crate) fn restart_former(&self) {
        let run = self.dice.number();
        self.with_replicas(|server, connections| {
            if server.is_master {
                server.end_all(connections);
                (server.run, server.replication) = (run, run);
                server.wake_all();
            }
        });
    }

    /// The master loses something, and goes on.
    pub(crate) fn lose(&self, loss: Loss) {
        self.with_master(|server, _| server.suffer(loss));
    }

    /// The master does nothing for a while.
    pub(crate) fn stop(&self, time: Duration) {
        self.with_master(|server, _| server.stopped_until = Some(Instant::now() + time));
    }

    /// The master takes nothing for a reason, or takes everything again.
    pub(crate) fn refuse(&self, reason: Option<&str>) {
        self.with_master(|server, _| server.refuses = reason.map(str::to_owned));
    }

    /// The master ends all connections, and lets nobody in for a reason.
    pub(crate) fn forbid(&self, reason: &str) {
        self.with_master(|server, connections| {
            server.end_all(connections);
            server.forbids = Some(reason.to_owned());
        });
    }

    /// The master goes back to what its replica has, and goes on.
    pub(crate) fn go_back_to_replica(&self) {
        self.with_master(|server, _| {
            if let Some(past) = server.replica.take() {
                server.data.go_back(&past);
                server.past.clear();
            }
        });
    }

    /// The master ends all connections.
    pub(crate) fn end_connections(&self) {
        self.with_master(|server, connections| server.end_all(connections));
    }

    /// The clock of the master is set back.
    pub(crate) fn set_back(&self, time: Duration) {
        self.with_master(|server, _| server.set_back += time);
    }

    /// Gives up all but the last entries.
    pub(crate) fn trim_to(&self, entries: usize) {
        self.with_master(|server, _| {
            let surplus = server.data.entries.len().saturating_sub(entries);
            server.data.entries.drain(..surplus);
        });
    }

    /// The replica of the master stops following it, or has all of it again.
    pub(crate) fn pause_replica(&self, is_paused: bool) {
        self.with_master(|server, _| server.replica = is_paused.then(|| server.data.past()));
    }

    /// The replica becomes the master, with what it has. The former one goes on to be one for some processes until it is
    /// [demoted](Self::demote).
    pub(crate) fn promote(&self, stays: &[u64]) {
        let [run, replication] = [self.dice.number(), self.dice.number()];
        let mut promoted = self.with_master(|server, _| {
            let mut data = server.data.clone();
            if let Some(past) = server.replica.take() {
                data.go_back(&past);
            }
            Server::new((run, replication), data, self.started)
        });
        self.with_master(|server, _| promoted.set_back = server.set_back);
        self.add_master(promoted, stays);
    }

    /// All servers but the master become replicas of it, and everybody is sent to the master. Connections end, or stay.
    pub(crate) fn demote(&self, ends_connections: bool) {
        self.send_all_to_master();
        let data = self.with_master(|server, _| server.data.clone());
        self.with_replicas(|server, connections| {
            server.is_master = false;
            server.data = data.clone();
            server.past.clear();
            server.replica = None;
            if ends_connections {
                server.end_all(connections);
            }
            server.wake_all();
        });
    }

    /// Ends all faults: the master is there and takes everything, and all are sent to it.
    pub(crate) fn heal(&self) {
        self.with_master(|server, _| {
            (server.refuses, server.stopped_until, server.down_until) = (None, None, None);
            server.replica = None;
        });
        self.join_all();
        self.demote(true);
    }

    /// The master of before becomes the master again: its process is the same, its reign is another one.
    pub(crate) fn promote_former(&self) {
        let replication = self.dice.number();
        let data = self.with_master(|server, _| server.data.clone());
        self.change_master(|server| {
            (server.is_master, server.replication, server.data) = (true, replication, data);
        });
    }
}
