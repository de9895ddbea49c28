//! The threads of a node, one for each worker, and the sockets they listen on.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use socket2::SockRef;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::error::ServerError;
use crate::config::Config;
use crate::http::accept::Queue;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::{Inlets, Worker};
use crate::io::listener;

/// Where a server listens.
#[derive(Debug)]
pub(super) struct Listeners {
    /// One for each worker.
    pub(super) sockets: Vec<StdListener>,
    pub(super) address: SocketAddr,
    pub(super) queue: Queue,
}

/// Opens a listener for each worker, all on one address; or serves `given`, which listens already.
///
/// # Errors
/// The address is taken or not ours, or `given` cannot be used.
pub(super) fn open_all(config: &Config, given: Option<&StdListener>) -> Result<Listeners, ServerError> {
    if let Some(given) = given {
        return share(given, config).map_err(ServerError::HandedOver);
    }
    let wanted = listener::possible(config.listen);
    let options = config.limits.socket_options();
    let refused = |address| move |source| ServerError::Listen { address, source };
    listener::check(wanted).map_err(refused(wanted))?;
    let first = listener::open(wanted, options).map_err(refused(wanted))?;
    let address = first.local_addr().map_err(refused(wanted))?;
    let mut sockets = vec![first];
    for _ in 1..config.workers {
        sockets.push(listener::open(address, options).map_err(refused(address))?);
    }
    Ok(Listeners { sockets, address, queue: Queue::Ours })
}

/// One socket for all workers: who is free accepts. Others may not open the port beside the one who has it, so
/// there are no listeners of their own.
fn share(given: &StdListener, config: &Config) -> io::Result<Listeners> {
    listener::set_options(&SockRef::from(given), config.limits.socket_options())?;
    let sockets = (0..config.workers).map(|_| given.try_clone()).collect::<io::Result<_>>()?;
    Ok(Listeners { sockets, address: given.local_addr()?, queue: Queue::Kept })
}

/// Tells the server that a worker has ended, by panic too.
pub(super) struct End(pub(super) mpsc::Sender<()>);

impl Drop for End {
    fn drop(&mut self) {
        // The first news is all the server needs; a full channel holds it.
        let _ = self.0.try_send(());
    }
}

/// What every worker of a node is given.
pub(super) struct Node {
    pub(super) config: Arc<Config>,
    pub(super) dispatcher: Dispatcher,
    pub(super) shared: Arc<Shared>,
}

impl Node {
    pub(super) fn start(&self, index: u8, inlets: Inlets, end: End) -> Result<JoinHandle<()>, ServerError> {
        let (config, dispatcher) = (Arc::clone(&self.config), self.dispatcher.clone());
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let _end = end;
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(%error, index, "cannot start a runtime"),
            };
            let worker = runtime.block_on(async {
                let worker = Worker::new(index, config, dispatcher, shared);
                if let Err(error) = worker.run(inlets).await {
                    tracing::error!(%error, index, "a worker ended");
                }
                worker
            });
            drop(runtime);
            drop(worker);
        };
        let thread = thread::Builder::new().name(format!("turted-{index}")).spawn(work);
        thread.map_err(ServerError::Start)
    }
}
