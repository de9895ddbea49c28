//! The four connections of a node.

use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use turted_core::cursor::Cursor;

use super::super::{Append, Appended, Change, Changed, Ears, Failure, Reader, Reign, State, Values, Writer};
use super::data::{Command, Push};
use super::faults::{Fate, STEP, pass};
use super::server::{Hearing, Server};
use super::world::{Address, World};
use super::{BLOCK, HEAR};

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    world: Rc<World>,
    to: Address,
    /// Whether it is of no use any more. It is so while a command is under way: one that is dropped leaves it so.
    is_broken: bool,
}

fn lost(reason: &str) -> Failure {
    Failure::Lost(reason.to_owned())
}

impl Connection {
    /// Connects to the server that a process is sent to.
    pub(super) async fn open(world: &Rc<World>, process: u64) -> Result<Self, Failure> {
        let mut connection = Self { world: Rc::clone(world), to: world.address(process), is_broken: false };
        if !world.with(connection.to.server, |server| server.is_up()) {
            sleep(world.chances.get().way(&world.dice)).await;
            return Err(lost("connection refused"));
        }
        connection.call(|server| server.let_in()).await?;
        Ok(connection)
    }

    /// The process of the server, and the number of this connection there.
    pub(super) fn name(&self) -> (u64, u64) {
        (self.to.run, self.to.number)
    }

    /// Sends a command, and waits for its answer.
    async fn call<T: 'static>(
        &mut self,
        command: impl FnOnce(&mut Server) -> Result<T, Failure> + 'static,
    ) -> Result<T, Failure> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(lost("the connection is broken"));
        }
        let world = &self.world;
        let (chances, dice) = (world.chances.get(), &world.dice);
        let (fate, way, back) = (chances.fate(dice), chances.way(dice), chances.way(dice));
        let late = if let Fate::Late(late) = fate { late } else { way };
        let (answer, answered) = oneshot::channel();
        if fate != Fate::Before && !(fate == Fate::Silence && dice.happens(500)) {
            let job = move |server: &mut Server| _ = answer.send(command(server));
            world.send(self.to, Instant::now() + late, Box::new(job));
        }
        match fate {
            Fate::Silence => std::future::pending().await,
            Fate::Before | Fate::Late(_) => {
                sleep(way).await;
                return Err(lost("the connection broke"));
            }
            Fate::After => {
                drop(answered.await);
                return Err(lost("the connection broke behind the command"));
            }
            Fate::Done => {}
        }
        let answer = answered.await.map_err(|_| lost("the connection has ended"))?;
        pass(back).await;
        while world.holds_up(self.to) {
            sleep(super::world::HELD_UP).await;
        }
        if !world.has(self.to) {
            return Err(lost("the connection has ended"));
        }
        self.is_broken = answer.is_err();
        answer
    }

    /// Ends another connection.
    pub(super) async fn end(&mut self, number: u64) -> Result<(), Failure> {
        self.call(move |server| {
            server.ended.insert(number);
            server.wake_all();
            Ok(())
        })
        .await
    }

    pub(super) async fn state(&mut self) -> Result<State, Failure> {
        let hides_process = self.world.flaws.get().hides_process;
        let state = self.call(|server| server.as_master().map(|server| server.state())).await;
        state.map(|mut state| {
            if hides_process {
                state.process = state.reign.as_ref().map_or(state.process, |reign| reign.process.clone());
            }
            state
        })
    }

    /// Hears what is told to a node.
    pub(super) async fn hear(&mut self, node: u16) -> Result<Rc<Hearing>, Failure> {
        self.call(move |server| {
            let hearing = Rc::new(Hearing { node, heard: Default::default() });
            server.ears.push(Rc::clone(&hearing));
            Ok(hearing)
        })
        .await
    }

    /// Waits for something on the server, until a moment, and looks again at its news. `None`: there was nothing.
    async fn wait<T>(
        &mut self,
        until: Instant,
        news: impl Fn(&Server) -> &Rc<Notify>,
        mut look: impl FnMut(&mut Server) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(lost("the connection is broken"));
        }
        let world = Rc::clone(&self.world);
        let (chances, dice) = (world.chances.get(), &world.dice);
        match chances.fate(dice) {
            Fate::Done => {}
            Fate::Silence => std::future::pending().await,
            _ => return Err(lost("the connection broke")),
        }
        let (way, back) = (chances.way(dice), chances.way(dice));
        pass(way).await;
        let was_master = world.followed(self.to.server) == self.to.server;
        let found = loop {
            if !world.has(self.to) {
                return Err(lost("the connection has ended"));
            }
            if world.holds_up(self.to) {
                sleep(super::world::HELD_UP).await;
                continue;
            }
            let server = world.followed(self.to.server);
            let changed = world.with(server, |server| Rc::clone(news(server)));
            let mut changed = pin!(changed.notified());
            changed.as_mut().enable();
            if was_master != (server == self.to.server) {
                return Err(Failure::Moved("UNBLOCKED: it has become a replica".to_owned()));
            }
            if let Some(found) = world.with(server, &mut look) {
                break Some(found);
            }
            if timeout_at(until, changed).await.is_err() {
                break None;
            }
        };
        // A node that was frozen does something else first.
        let is_late = Instant::now() > until;
        pass(if is_late { back.max(STEP) } else { back }).await;
        self.is_broken = false;
        Ok(found)
    }
}

/// A connection that appends.
#[derive(Debug)]
pub(crate) struct MemoryWriter(pub(super) Connection);

impl Writer for MemoryWriter {
    async fn state(&mut self) -> Result<State, Failure> {
        self.0.state().await
    }

    async fn append(
        &mut self,
        epoch: u64,
        pushes: &[Append<'_>],
        replicas: u32,
    ) -> Result<Vec<Appended>, Failure> {
        let pushes: Vec<_> = pushes.iter().map(Push::from).collect();
        let by = (self.0.to.process, self.0.world.flaws.get().stores_key_first);
        let append = move |server: &mut Server| {
            let server = server.as_master()?;
            let is_replicated = replicas == 0 || server.replica.is_none();
            let append = |push| {
                if let Some(reason) = &server.refuses {
                    return Appended::Refused(reason.clone());
                }
                server.remember();
                server.appended.notify_waiters();
                match server.data.append(epoch, push, by) {
                    Appended::At(at) if !is_replicated => Appended::Unreplicated(at),
                    Appended::Known(..) if !is_replicated => Appended::KnownUnreplicated,
                    appended => appended,
                }
            };
            Ok(pushes.into_iter().map(append).collect())
        };
        self.0.call(append).await
    }

    async fn begin(&mut self, seen: &State, begun: &Reign, entry: &[u8]) -> Result<bool, Failure> {
        let (seen, begun) = (seen.clone(), begun.clone());
        let entry = Bytes::copy_from_slice(entry);
        let begin = move |server: &mut Server| {
            let server = server.as_master()?;
            if let Some(reason) = &server.refuses {
                return Err(Failure::Lost(reason.clone()));
            }
            server.remember();
            server.appended.notify_waiters();
            Ok(server.data.begin(&seen, begun, entry))
        };
        self.0.call(begin).await
    }

    async fn trim(&mut self, first: Cursor) -> Result<(), Failure> {
        self.0.call(move |server| server.as_master().map(|server| server.data.trim(first))).await
    }

    async fn entry(&mut self, at: Cursor) -> Result<Option<Bytes>, Failure> {
        self.0.call(move |server| Ok(server.data.entry(at))).await
    }
}

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct MemoryReader(pub(super) Connection);

impl Reader for MemoryReader {
    async fn read(
        &mut self,
        after: Option<Cursor>,
        count: usize,
    ) -> Result<Vec<(Cursor, Option<Bytes>)>, Failure> {
        let read = self.0.wait(
            Instant::now() + BLOCK,
            |server| &server.appended,
            |server| Some(server.data.behind(after, count)).filter(|read| !read.is_empty()),
        );
        read.await.map(Option::unwrap_or_default)
    }

    async fn state(&mut self) -> Result<State, Failure> {
        self.0.state().await
    }
}

/// A connection to values.
#[derive(Debug)]
pub(crate) struct MemoryValues(pub(super) Connection);

impl Values for MemoryValues {
    async fn all(&mut self, changes: &[Change<'_>]) -> Result<Vec<Changed>, Failure> {
        let commands: Vec<_> = changes.iter().map(Command::from).collect();
        let process = self.0.to.process;
        let change = move |server: &mut Server| {
            let server = server.as_master()?;
            let change = |command| server.change(process, command);
            Ok(commands.into_iter().map(change).collect())
        };
        self.0.call(change).await
    }
}

/// A connection that hears.
#[derive(Debug)]
pub(crate) struct MemoryEars(pub(super) Connection, pub(super) Rc<Hearing>);

impl Ears for MemoryEars {
    async fn hear(&mut self) -> Result<Option<Bytes>, Failure> {
        let hearing = Rc::clone(&self.1);
        let next = |_: &mut Server| hearing.heard.borrow_mut().pop_front();
        self.0.wait(Instant::now() + HEAR, |server| &server.told, next).await
    }
}
