//! A client of turted.v1 that hears who is in its channel, and adds it up. It reads in a thread of its own, so that it waits for
//! as long as it takes.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::until;
use crate::support::WebSocket;
use crate::support::frame;

/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(12);

/// What a client has heard.
#[derive(Debug, Default)]
struct Heard {
    replies: Vec<Value>,
    welcome: Value,
    cursor: Value,
    /// Each message that told who is there.
    told: Vec<Value>,
    users: BTreeSet<String>,
    anonymous: u64,
    silent: u64,
    is_over: bool,
}

impl Heard {
    fn add(&mut self, message: &Value) {
        if let Some(cursor) = message.get("cursor") {
            self.cursor = cursor.clone();
        }
        if message.get("welcome").is_some() {
            self.welcome = message["welcome"].clone();
            self.cursor = self.welcome["cursor"].clone();
        } else if message.get("reply").is_some() {
            self.replies.push(message.clone());
        } else if let Some(told) = message.get("presence") {
            self.add_told(told);
        }
    }

    fn add_told(&mut self, told: &Value) {
        let names = |member: &str| {
            let list = told[member].as_array().into_iter().flatten();
            list.map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        if told["users"].is_array() {
            self.users = names("users").into_iter().collect();
        }
        names("joined").into_iter().for_each(|user| assert!(self.users.insert(user), "joined twice: {told}"));
        names("left").iter().for_each(|user| assert!(self.users.remove(user), "left twice: {told}"));
        assert_eq!(self.users.len() as u64, told["count"].as_u64().unwrap(), "{told}");
        self.anonymous = told["anonymous"].as_u64().unwrap();
        self.silent = told["silent"].as_u64().unwrap_or(0);
        self.told.push(told.clone());
    }
}

/// A page: one connection.
pub(super) struct Page {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
}

impl Page {
    pub(super) fn open(address: SocketAddr) -> Self {
        let mut socket = WebSocket::connect(address, "/ws", &[]).unwrap();
        socket.stream.set_read_timeout(None).unwrap();
        let stream = socket.stream.try_clone().unwrap();
        let heard = Arc::<Mutex<Heard>>::default();
        let own = Arc::clone(&heard);
        thread::spawn(move || {
            while let Some(read) = socket.read() {
                match read.opcode {
                    1 => own.lock().unwrap().add(&serde_json::from_slice(&read.payload).unwrap()),
                    8 => break,
                    9 => socket.send(frame(0x8A, &read.payload)),
                    _ => {}
                }
            }
            own.lock().unwrap().is_over = true;
        });
        let page = Self { stream, heard };
        until(|| "a welcome".to_owned(), REPLY, || !page.heard().welcome.is_null());
        page
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    /// The reply to a request.
    pub(super) fn try_ask(&self, request: &Value) -> Value {
        let mut request = request.clone();
        let count = self.heard().replies.len();
        request["id"] = json!(count + 1);
        (&self.stream).write_all(&frame(0x81, request.to_string().as_bytes())).unwrap();
        until(|| format!("a reply to {request}"), REPLY, || self.heard().replies.len() > count);
        self.heard().replies[count].clone()
    }

    /// Asks for something that is granted.
    pub(super) fn ask(&self, request: &Value) {
        let reply = self.try_ask(request);
        assert_eq!(reply["ok"], true, "{reply} to {request}");
    }

    /// By what its client comes back.
    pub(super) fn session(&self) -> (Value, Value) {
        let heard = self.heard();
        (heard.welcome["session"].clone(), heard.cursor.clone())
    }

    pub(super) fn into_member(self) -> Member {
        Member { page: self }
    }

    /// Its connection is lost.
    pub(super) fn lose(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A page that hears who is in the room.
pub(super) struct Member {
    pub(super) page: Page,
}

impl Member {
    /// Waits until these users are in the room, and so many nodes are silent. Returns how long that took.
    pub(super) fn until(&self, users: &[&str], silent: u64, within: Duration) -> Duration {
        let is_so = |heard: &Heard| heard.users.iter().eq(users) && heard.silent == silent;
        let what = || format!("{users:?} and {silent} silent: {:?}", self.page.heard());
        until(what, within, || is_so(&self.page.heard()))
    }

    /// How many messages told who is there.
    pub(super) fn messages(&self) -> usize {
        self.page.heard().told.len()
    }

    /// Whether a message behind the first ones named this user as come or gone.
    pub(super) fn has_moved(&self, user: &str, behind: usize) -> bool {
        let names =
            |told: &Value, list: &str| told[list].as_array().is_some_and(|list| list.contains(&json!(user)));
        self.page.heard().told[behind..].iter().any(|told| {
            names(told, "joined")
                || names(told, "left")
                || (told["users"].is_array() && !names(told, "users"))
        })
    }

    /// How many users are in the room.
    pub(super) fn users(&self) -> usize {
        self.page.heard().users.len()
    }

    /// Each user that a message behind the first ones named as come or gone.
    pub(super) fn moved(&self, behind: usize) -> Vec<String> {
        let told = &self.page.heard().told[behind..];
        let named = told.iter().flat_map(|told| [&told["joined"], &told["left"]]);
        named.filter_map(Value::as_array).flatten().map(Value::to_string).collect()
    }

    pub(super) fn anonymous(&self) -> u64 {
        self.page.heard().anonymous
    }

    /// Nothing comes or goes for so long.
    pub(super) fn stays(&self, users: &[&str], how_long: Duration) {
        let began = Instant::now();
        while began.elapsed() < how_long {
            assert!(self.page.heard().users.iter().eq(users), "{:?}", self.page.heard());
            crate::support::pause(Duration::from_millis(50));
        }
    }
}
