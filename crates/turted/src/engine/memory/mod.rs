//! The engine in memory: several nodes of one process, on one thread, with faults on demand. It does what Redis does, as far
//! as a node can see it, on the clock of tokio.
//!
//! | file | what |
//! |---|---|
//! | `data` | the log and the values of a server, and the commands that change them |
//! | `server` | a server: it is started again, promoted, stopped, and loses what it has |
//! | `world` | all servers, who is sent where, and what is on its way |
//! | `faults` | what goes wrong with connections, and with servers |
//! | `connection` | the four connections of a node |
//! | `dice` | random numbers that a seed repeats |
//! | `tests` | the suite of engines, and each fault |

mod data;
mod server;
mod world;
mod faults;
mod connection;
mod dice;
mod tests;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use self::connection::{Connection, MemoryEars, MemoryReader, MemoryValues, MemoryWriter};
use super::{Engine, Failure, State};

pub(crate) use self::dice::Dice;
pub(crate) use self::faults::{Chances, Flaws, Loss};
pub(crate) use self::world::World;

/// The engine of one process.
#[derive(Debug)]
pub(crate) struct MemoryEngine {
    world: Rc<World>,
    process: u64,
    /// The connection that this process appended with last: the process of the server, and its number there.
    former: Cell<Option<(u64, u64)>>,
}

impl MemoryEngine {
    pub(crate) fn new(world: &Rc<World>, process: u64) -> Self {
        Self { world: Rc::clone(world), process, former: Cell::new(None) }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(&self.world, self.process).await
    }
}

impl Engine for MemoryEngine {
    type Writer = MemoryWriter;
    type Reader = MemoryReader;
    type Values = MemoryValues;
    type Ears = MemoryEars;

    async fn rights(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn writer(&self) -> Result<(MemoryWriter, State), Failure> {
        let mut connection = self.connect().await?;
        let (run, number) = connection.name();
        if let Some((_, former)) = self.former.get().filter(|(former, _)| *former == run)
            && !self.world.flaws.get().leaves_former
        {
            connection.end(former).await?;
        }
        self.former.set(Some((run, number)));
        let state = connection.state().await?;
        Ok((MemoryWriter(connection), state))
    }

    async fn reader(&self) -> Result<(MemoryReader, State), Failure> {
        let mut connection = self.connect().await?;
        let state = connection.state().await?;
        Ok((MemoryReader(connection), state))
    }

    async fn values(&self) -> Result<MemoryValues, Failure> {
        let mut connection = self.connect().await?;
        connection.state().await?;
        Ok(MemoryValues(connection))
    }

    async fn ears(&self, node: u16) -> Result<MemoryEars, Failure> {
        let mut connection = self.connect().await?;
        let hearing = connection.hear(node).await?;
        Ok(MemoryEars(connection, hearing))
    }
}

/// How long a reader waits for an entry.
const BLOCK: Duration = Duration::from_secs(1);
/// How long ears wait for a message.
const HEAR: Duration = Duration::from_secs(5);
