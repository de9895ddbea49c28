//! Turns at something that is done for one client at a time. Clients of one address wait for each other
//! first, then one client of each address waits: an address that asks a thousand times delays the other
//! addresses by one turn.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Semaphore;
use turted_core::trust::network;

/// The turns of one worker.
#[derive(Debug)]
pub(crate) struct Turns {
    one: Semaphore,
    lines: RefCell<HashMap<IpAddr, Rc<Line>>>,
}

/// The clients of one address.
#[derive(Debug)]
struct Line {
    first: Semaphore,
    clients: Cell<usize>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { one: Semaphore::new(1), lines: RefCell::default() }
    }
}

impl Turns {
    /// How many clients of an address wait, or have their turn.
    pub(crate) fn clients(&self, address: IpAddr) -> usize {
        self.lines.borrow().get(&network(address)).map_or(0, |line| line.clients.get())
    }

    /// Does `work` when it is the turn of a client of this address. Cancel safe: its place in the line is
    /// given up.
    pub(crate) async fn take<T>(&self, address: IpAddr, work: impl Future<Output = T>) -> T {
        let place = self.line_up(network(address));
        let _first = place.line.first.acquire().await.expect("the semaphore is never closed");
        let _turn = self.one.acquire().await.expect("the semaphore is never closed");
        work.await
    }

    fn line_up(&self, address: IpAddr) -> Turn<'_> {
        let mut lines = self.lines.borrow_mut();
        let new = || Rc::new(Line { first: Semaphore::new(1), clients: Cell::new(0) });
        let line = Rc::clone(lines.entry(address).or_insert_with(new));
        line.clients.set(line.clients.get() + 1);
        Turn { turns: self, address, line }
    }
}

/// The place of a client in the line of its address.
struct Turn<'a> {
    turns: &'a Turns,
    address: IpAddr,
    line: Rc<Line>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let left = self.line.clients.get() - 1;
        self.line.clients.set(left);
        if left == 0 {
            self.turns.lines.borrow_mut().remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::task::yield_now;

    use super::*;

    fn address(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    #[tokio::test]
    async fn an_address_that_asks_often_delays_another_by_one_turn() {
        let (turns, order) = (Turns::default(), RefCell::new(Vec::new()));
        let work = |host: u8| {
            let order = &order;
            turns.take(address(host), async move {
                yield_now().await;
                order.borrow_mut().push(host);
            })
        };
        let clients = [1, 1, 1, 1, 2].map(|host| Box::pin(work(host)));
        let mut clients = Vec::from(clients);
        poll_fn(|context| {
            clients.retain_mut(|client| client.as_mut().poll(context).is_pending());
            if clients.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(*order.borrow(), [1, 2, 1, 1, 1]);
        assert!(turns.lines.borrow().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_line() {
        let turns = Turns::default();
        let waiting = tokio::time::timeout(
            std::time::Duration::ZERO,
            turns.take(address(1), async {
                assert_eq!(turns.clients(address(1)), 1);
                std::future::pending::<()>().await;
            }),
        );
        assert!(waiting.await.is_err());
        assert_eq!(turns.clients(address(1)), 0);
        turns.take(address(1), async {}).await;
    }
}
