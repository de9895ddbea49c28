//! A node's way to Redis: a proxy that cuts, stalls and delays, and delivers late what an abandoned connection had sent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::pause;

/// Bytes of one portion. A gate that closes holds back one at most, and what waits in the kernel.
const PORTION_BYTES: usize = 64 * 1024;

/// One direction or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToRedis,
    ToNode,
    Both,
}

/// What lets bytes of one direction through, or not.
#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap() = is_shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let mut is_shut = self.is_shut.lock().unwrap();
        while *is_shut {
            is_shut = self.opened.wait(is_shut).unwrap();
        }
    }
}

/// One connection: its two halves, and a gate for each direction.
struct Link {
    node: TcpStream,
    redis: TcpStream,
    to_redis: Gate,
    to_node: Gate,
}

impl Link {
    fn shut(&self, way: Way, is_shut: bool) {
        if way != Way::ToNode {
            self.to_redis.set(is_shut);
        }
        if way != Way::ToRedis {
            self.to_node.set(is_shut);
        }
    }

    fn end(&self) {
        let _ = self.node.shutdown(Shutdown::Both);
        let _ = self.redis.shutdown(Shutdown::Both);
        self.shut(Way::Both, false);
    }
}

#[derive(Default)]
struct State {
    target: AtomicU16,
    is_cut: AtomicBool,
    /// Which directions of new connections are stalled.
    stalled: Mutex<Option<Way>>,
    delay_ms: AtomicU64,
    /// Bytes a second that a connection carries to the node; 0: any number.
    rate: AtomicU64,
    links: Mutex<Vec<Arc<Link>>>,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy before a server on this port of this machine. Its thread ends with the process.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { target: port.into(), ..State::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            listener.incoming().map_while(Result::ok).for_each(|node| shared.accept(node));
        });
        Self { address, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends all connections and lets none in.
    pub(crate) fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.break_off();
    }

    /// Ends all connections. New ones are let in as before.
    pub(crate) fn break_off(&self) {
        self.state.links.lock().unwrap().drain(..).for_each(|link| link.end());
    }

    /// Lets connections in again.
    pub(crate) fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// Holds all bytes back, those of new connections too. Nobody is told.
    pub(crate) fn stall(&self, way: Way) {
        *self.state.stalled.lock().unwrap() = Some(way);
        self.state.links.lock().unwrap().iter().for_each(|link| link.shut(way, true));
    }

    /// Holds bytes back on those connections that have come to Redis from one of these ports. Returns how many they are.
    pub(crate) fn stall_those(&self, way: Way, ports: &[u16]) -> usize {
        let is_meant =
            |link: &&Arc<Link>| link.redis.local_addr().is_ok_and(|from| ports.contains(&from.port()));
        let links = self.state.links.lock().unwrap();
        links.iter().filter(is_meant).inspect(|link| link.shut(way, true)).count()
    }

    /// Lets all bytes through again.
    pub(crate) fn flow(&self) {
        *self.state.stalled.lock().unwrap() = None;
        self.state.links.lock().unwrap().iter().for_each(|link| link.shut(Way::Both, false));
    }

    /// Each portion of bytes waits so long.
    pub(crate) fn delay(&self, by: Duration) {
        self.state.delay_ms.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Each connection carries so many bytes a second to the node.
    pub(crate) fn slow_down(&self, rate: u64) {
        self.state.rate.store(rate, Ordering::SeqCst);
    }

    /// Connections of the node go to this port from now on, those that there are end.
    pub(crate) fn retarget(&self, port: u16) {
        self.state.target.store(port, Ordering::SeqCst);
        self.break_off();
    }

    /// Holds back what the node sends on the connections that there are. New ones are not concerned.
    pub(crate) fn hold_back(&self) -> Abandoned {
        let links: Vec<_> = self.state.links.lock().unwrap().drain(..).collect();
        links.iter().for_each(|link| link.shut(Way::ToRedis, true));
        Abandoned(links)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Connections whose bytes to Redis are held back.
pub(crate) struct Abandoned(Vec<Arc<Link>>);

impl Abandoned {
    /// Ends them for the node. Redis sees nothing of it.
    pub(crate) fn end_for_node(&self) {
        self.0.iter().for_each(|link| drop(link.node.shutdown(Shutdown::Both)));
    }

    /// Delivers to Redis what was held back.
    pub(crate) fn deliver_late(self) {
        self.0.iter().for_each(|link| link.shut(Way::Both, false));
    }
}

impl State {
    fn accept(self: &Arc<Self>, node: TcpStream) {
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(redis) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target.load(Ordering::SeqCst))) else {
            return;
        };
        let _ = (node.set_nodelay(true), redis.set_nodelay(true));
        let link = Arc::new(Link { node, redis, to_redis: Gate::default(), to_node: Gate::default() });
        if let Some(way) = *self.stalled.lock().unwrap() {
            link.shut(way, true);
        }
        self.links.lock().unwrap().push(Arc::clone(&link));
        if self.is_cut.load(Ordering::SeqCst) {
            link.end();
        }
        for way in [Way::ToRedis, Way::ToNode] {
            let (state, link) = (Arc::clone(self), Arc::clone(&link));
            thread::spawn(move || state.carry(&link, way));
        }
    }

    /// Carries the bytes of one direction until an end, which it passes on.
    fn carry(&self, link: &Arc<Link>, way: Way) {
        let (mut from, mut to, gate) = match way {
            Way::ToRedis => (&link.node, &link.redis, &link.to_redis),
            _ => (&link.redis, &link.node, &link.to_node),
        };
        let mut buffer = vec![0; PORTION_BYTES];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            pause(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst)));
            let rate = self.rate.load(Ordering::SeqCst);
            if way == Way::ToNode && rate > 0 {
                pause(Duration::from_secs_f64(read as f64 / rate as f64));
            }
            gate.pass();
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        gate.pass();
        let _ = to.shutdown(Shutdown::Both);
        self.links.lock().unwrap().retain(|other| !Arc::ptr_eq(other, link));
    }
}
