//! Hooks of several nodes: each tells of its own clients and pushes, and of nodes that are gone without a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{BACK, Cluster, FILE, KEPT, until};
use crate::support::{Client, Kind, pause};

/// How long it may take until a node that is gone is told: 15 s of silence, and a few looks.
const GONE: Duration = Duration::from_secs(25);

/// A backend that takes every batch, and keeps its records, each with the node that has sent it as `from`.
struct Backend {
    address: SocketAddr,
    records: Arc<Mutex<Vec<Value>>>,
    is_over: Arc<AtomicBool>,
}

impl Backend {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (records, is_over) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<AtomicBool>::default());
        let (own, over) = (Arc::clone(&records), Arc::clone(&is_over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (stream, own) = (stream.unwrap(), Arc::clone(&own));
                thread::spawn(move || serve(stream, &own));
            }
        });
        Self { address, records, is_over }
    }

    /// The records that have these members.
    fn with(&self, members: &Value) -> Vec<Value> {
        let members = members.as_object().unwrap();
        let has_all = |record: &&Value| members.iter().all(|(name, value)| record[name] == *value);
        self.records.lock().unwrap().iter().filter(has_all).cloned().collect()
    }

    fn await_one(&self, members: &Value, within: Duration) {
        let what = || format!("{members}: {:?}", self.records.lock().unwrap());
        until(what, within, || !self.with(members).is_empty());
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, records: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let batch: Value = serde_json::from_slice(&body).unwrap();
        for record in batch["records"].as_array().unwrap() {
            let mut record = record.clone();
            record["from"] = batch["node"].clone();
            records.lock().unwrap().push(record);
        }
        if reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Nodes whose hook tells this backend.
struct Nodes {
    cluster: Cluster,
    backend: Backend,
    _directory: tempfile::TempDir,
}

impl Nodes {
    fn start(count: usize) -> Self {
        let (backend, directory) = (Backend::start(), tempfile::tempdir().unwrap());
        let secret = directory.path().join("hook.secret");
        std::fs::write(&secret, "the-secret-of-the-hook-of-this-test").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = directory.path().join("turted.toml");
        let text = format!(
            "[[hooks]]\nname = \"app\"\nurl = \"http://{}/\"\nsecret_file = {secret:?}\ngrace = \"1s\"\n\
             clients = [\"user-online\", \"user-offline\"]\ndispatches = [\"*\"]\n",
            backend.address
        );
        std::fs::write(&file, text).unwrap();
        let cluster = Cluster::with(KEPT, count, &[(FILE, file.to_str().unwrap())]);
        Self { cluster, backend, _directory: directory }
    }

    fn client(&self, node: usize, user: &str) -> Client {
        let mut client = self.cluster.nodes[node].child().client(Kind::ALL[0]);
        client.ask("IDENT", &json!({"username": user}).to_string());
        client
    }

    /// The name that the node of a user has in batches.
    fn name_of_node(&self, user: &str) -> String {
        let online = json!({"type": "user-online", "user": user});
        self.backend.await_one(&online, BACK);
        let record = &self.backend.with(&online)[0];
        assert_eq!(record["node"], record["from"], "a record of a client names its node");
        record["node"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_hook_hears_of_the_dispatches_and_clients_of_its_own_node() {
    let nodes = Nodes::start(2);
    let _clients = [nodes.client(0, "adam"), nodes.client(1, "eve")];
    let names = [nodes.name_of_node("adam"), nodes.name_of_node("eve")];
    assert_ne!(names[0], names[1]);
    for (node, name) in names.iter().enumerate() {
        let event = format!("at-{node}");
        let pushed = nodes.cluster.nodes[node]
            .push(&json!({"event": event, "targets": {"broadcast": true}, "payload": node}));
        assert_eq!(pushed.unwrap().status, 200);
        nodes.backend.await_one(&json!({"type": "dispatch", "from": name}), BACK);
    }
    pause(Duration::from_secs(1));
    let dispatches = nodes.backend.with(&json!({"type": "dispatch"}));
    let told: Vec<_> = dispatches.iter().map(|record| record["dispatch"]["event"].clone()).collect();
    assert_eq!(told, ["at-0", "at-1"], "each is told once");
    assert!(dispatches.iter().all(|record| record["node"].is_null()));
}

#[test]
fn a_node_that_is_killed_is_told_as_gone_once() {
    let mut nodes = Nodes::start(3);
    let _clients = [nodes.client(0, "adam"), nodes.client(1, "eve"), nodes.client(2, "mary")];
    let gone = nodes.name_of_node("eve");
    nodes.cluster.nodes[1].kill();
    // One that leaves says so itself.
    let left = nodes.name_of_node("mary");
    nodes.cluster.nodes[2].stop();
    nodes.backend.await_one(&json!({"type": "stopped", "from": left}), BACK);
    nodes.backend.await_one(&json!({"type": "node-gone", "node": gone}), GONE);
    pause(Duration::from_secs(5));
    let told = nodes.backend.with(&json!({"type": "node-gone"}));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["from"], *nodes.name_of_node("adam"));
}

#[test]
fn a_node_that_was_told_as_gone_and_wakes_tells_all_who_are_online() {
    let nodes = Nodes::start(2);
    let _clients = [nodes.client(0, "adam"), nodes.client(1, "eve")];
    let asleep = nodes.name_of_node("eve");
    let is_synced = json!({"type": "synced", "from": asleep});
    nodes.backend.await_one(&is_synced, BACK);
    nodes.cluster.nodes[1].freeze();
    nodes.backend.await_one(&json!({"type": "node-gone", "node": asleep}), GONE);
    let started = || nodes.backend.with(&json!({"type": "started", "from": asleep})).len();
    assert_eq!(started(), 1);
    nodes.cluster.nodes[1].thaw();
    let is_told = || started() == 2 && nodes.backend.with(&is_synced).len() == 2;
    until(|| format!("{:?}", nodes.backend.with(&json!({"from": asleep}))), BACK, is_told);
    pause(Duration::from_secs(12));
    let gone = nodes.backend.with(&json!({"type": "node-gone"}));
    assert_eq!(gone.len(), 1, "the node that slept takes no other one for gone: {gone:?}");
}
