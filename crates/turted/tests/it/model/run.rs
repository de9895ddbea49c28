//! Servers and their clients, driven by random numbers, and the model beside them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::reference::{HISTORY, Member, Model, Push};
use crate::support::{Client, Http, Kind, Random};

/// Names of each kind, some of which have a meaning elsewhere.
const NAMES: [&str; 6] = ["adam", "__proto__", "constructor", "é😀\u{2028}", "a\"\\b", "Adam"];
const CLIENTS_MAX: usize = 24;
pub(crate) const MARKER: &str = "marker";

/// One server, or several that are as one, and their clients. Each request goes to the next server.
pub(crate) struct Run {
    servers: Vec<SocketAddr>,
    pushers: [Http; 2],
    clients: BTreeMap<usize, Client>,
    model: Model,
    random: Random,
    next_client: usize,
    next_push: u64,
}

impl Run {
    pub(crate) fn new(servers: &[SocketAddr], seed: u64) -> Self {
        let pushers = [0, 1].map(|_| Http::connect_in_turn(servers));
        let (clients, model, servers) = (BTreeMap::new(), Model::default(), servers.to_vec());
        Self { servers, pushers, clients, model, random: Random::new(seed), next_client: 0, next_push: 0 }
    }

    pub(crate) fn step(&mut self) {
        match self.random.below(100) {
            0..10 if self.clients.len() < CLIENTS_MAX => self.connect(),
            10..20 => self.ident(),
            20..35 => self.join(),
            35..42 => self.leave(),
            42..45 => self.disconnect(),
            45..80 => self.push_counted(),
            80..90 => self.push_in_a_row(),
            90..95 => self.push_batch(),
            95..97 => self.check(),
            97..99 => self.push_and_come(),
            _ => self.connect(),
        }
    }

    fn connect(&mut self) {
        let kind = Kind::ALL[self.random.below(Kind::ALL.len())];
        self.servers.rotate_left(1);
        self.clients.insert(self.next_client, Client::connect_in_turn(&self.servers, kind, "40"));
        self.model.connections.insert(self.next_client, Member::default());
        self.next_client += 1;
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.random.below(NAMES.len())]
    }

    fn any_client(&mut self) -> Option<usize> {
        let nth = self.random.below(self.clients.len().max(1));
        self.clients.keys().nth(nth).copied()
    }

    /// Lets one client send a command; the answer must repeat the argument.
    fn command(&mut self, command: &str, key: &str, name: &str) -> Option<&mut Member> {
        let id = self.any_client()?;
        let argument = json!({key: name}).to_string();
        let client = self.clients.get_mut(&id)?;
        assert_eq!(client.ask(command, &argument), format!(r#"42["OK",{argument}]"#));
        self.model.connections.get_mut(&id)
    }

    fn ident(&mut self) {
        let name = self.name();
        if let Some(member) = self.command("IDENT", "username", name) {
            member.user = Some(name);
        }
    }

    fn join(&mut self) {
        let name = self.name();
        if self.random.chance(50) {
            return self.join_with_history(name);
        }
        if let Some(member) = self.command("JOIN", "channel", name) {
            member.channels.insert(name);
        }
    }

    fn join_with_history(&mut self, name: &'static str) {
        let Some(id) = self.any_client() else { return };
        let wanted = 1 + self.random.below(HISTORY + 4);
        let (replayed, complete) = self.model.join(id, name, wanted);
        let client = self.clients.get_mut(&id).unwrap();
        let told = client.ask("JOIN", &json!({"channel": name, "history": wanted}).to_string());
        let name = json!(name);
        let expected =
            format!(r#"42["OK",{{"channel":{name},"replayed":{replayed},"complete":{complete}}}]"#);
        assert_eq!(told, expected);
    }

    fn leave(&mut self) {
        let name = self.name();
        if let Some(member) = self.command("LEAVE", "channel", name) {
            member.channels.remove(name);
        }
    }

    /// What a client was sent before it left must have come.
    fn disconnect(&mut self) {
        let Some(id) = self.any_client() else { return };
        self.check();
        self.clients.remove(&id).unwrap().leave();
        self.model.connections.remove(&id);
    }

    fn random_push(&mut self) -> Push {
        self.next_push += 1;
        let mut push = Push { number: self.next_push, broadcast: self.random.chance(10), ..Push::default() };
        for _ in 0..self.random.below(4) {
            let name = self.name();
            if self.random.chance(50) { push.users.push(name) } else { push.channels.push(name) }
        }
        push
    }

    /// The push as JSON, in one of the shapes that mean the same.
    fn body(&mut self, push: &Push) -> Value {
        let mut targets = json!({"users": push.users, "channels": push.channels});
        for (key, names) in [("users", &push.users), ("channels", &push.channels)] {
            match &names[..] {
                [] if self.random.chance(50) => {
                    targets.as_object_mut().unwrap().remove(key);
                }
                [name] if self.random.chance(50) => targets[key] = json!(name),
                _ => {}
            }
        }
        if push.broadcast || self.random.chance(20) {
            targets["broadcast"] = json!(push.broadcast);
        }
        json!({"event": "model", "targets": targets, "payload": {"number": push.number}})
    }

    /// Sends over one connection or the other: they belong to different workers, perhaps.
    fn send(&mut self, headers: &[(&str, &str)], body: &Value) -> Value {
        let pusher = self.random.below(2);
        self.pushers[pusher].refresh();
        let response = self.pushers[pusher].post("/push/", headers, body.to_string());
        assert_eq!(response.status, 200, "{} to {body}", response.text());
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    fn push_counted(&mut self) {
        let push = self.random_push();
        let (reached, body) = (self.model.push(&push), self.body(&push));
        let answer = self.send_counted(&body);
        assert!(is_reached(&answer, reached), "{answer} for {reached}, {push:?}");
    }

    /// Pushes, and waits until every server has handed it out.
    fn send_counted(&mut self, body: &Value) -> Value {
        let counted = [("Accept", "application/json")];
        let answer = self.send(&counted, body);
        let mut last = answer.clone();
        while last.as_array().map_or(&last, |all| &all[all.len() - 1]).get("silent").is_some() {
            last = self.send(&counted, &json!({"event": "nobody"}));
        }
        answer
    }

    /// Pushes whose answers do not wait for delivery; the last one's does.
    fn push_in_a_row(&mut self) {
        for _ in 0..self.random.below(10) {
            let push = self.random_push();
            self.model.push(&push);
            let body = self.body(&push);
            self.send(&[], &body);
        }
        self.push_counted();
    }

    /// Pushes, and clients that connect, IDENT and JOIN behind them: they are no targets, even where the pushes are not
    /// handed out yet. Another server may not have read the pushes then, so several servers hand them out first.
    fn push_and_come(&mut self) {
        for _ in 0..self.random.below(20) {
            let push = self.random_push();
            self.model.push(&push);
            let body = self.body(&push);
            self.send(&[], &body);
        }
        if self.servers.len() > 1 {
            self.push_counted();
        }
        self.connect();
        let Some((id, client)) = self.clients.iter_mut().next_back() else { return };
        let name = NAMES[self.random.below(NAMES.len())];
        let member = self.model.connections.get_mut(id).expect("each client is in the model");
        for (command, key) in [("IDENT", "username"), ("JOIN", "channel")] {
            let argument = json!({key: name}).to_string();
            assert_eq!(client.ask(command, &argument), format!(r#"42["OK",{argument}]"#));
        }
        (member.user, member.channels) = (Some(name), [name].into());
    }

    fn push_batch(&mut self) {
        let length = 1 + self.random.below(5);
        let pushes: Vec<Push> = (0..length).map(|_| self.random_push()).collect();
        let reached: Vec<_> = pushes.iter().map(|push| self.model.push(push)).collect();
        let body: Value = pushes.iter().map(|push| self.body(push)).collect();
        let answer = self.send_counted(&body);
        let answers = answer.as_array().expect("an answer for each");
        assert!(answers.iter().zip(&reached).all(|(one, reached)| is_reached(one, *reached)), "{answer}");
        assert_eq!(answers.len(), reached.len());
    }

    /// Everybody has received what the model says, and nothing else. What was dispatched before
    /// the marker comes before the marker, so nobody has to wait for silence.
    fn check(&mut self) {
        let marker = json!({"event": MARKER, "targets": {"broadcast": true}, "payload": self.next_push});
        self.send(&[], &marker);
        for (id, client) in &mut self.clients {
            let events = client.events_until(MARKER);
            let member = self.model.connections.get_mut(id).unwrap();
            let expected = std::mem::take(&mut member.expected);
            let received: Vec<_> = events
                .into_iter()
                .map(|event| (event.payload["number"].as_u64().unwrap(), event.via))
                .collect();
            assert_eq!(received, expected, "client {id}, {:?}", client.kind);
        }
    }

    /// The last check; then all clients leave.
    pub(crate) fn end(mut self) {
        self.check();
        self.clients.into_values().for_each(Client::leave);
    }
}

/// Whether the answer to a push says that so many connections were reached, of the servers that have told it in time.
fn is_reached(answer: &Value, reached: usize) -> bool {
    let delivered = answer["delivered"].as_u64().expect("how many were reached");
    if answer.get("silent").is_some() { delivered <= reached as u64 } else { delivered == reached as u64 }
}
