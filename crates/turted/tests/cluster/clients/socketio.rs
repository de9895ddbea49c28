//! A client of Socket.IO by polling, each request of which goes to any node. It comes back as `docs/protocol-socketio.md` says
//! of socket.io-client 4.6.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::Target;
use super::client::{Client, HANDSHAKE, RESUME, SIGN_OF_LIFE};
use super::http::Exchange;
use super::journal::Step;
use super::way::Balancer;

/// How long a node may take for what a client sends.
const SEND: Duration = Duration::from_secs(6);

/// A session of Engine.IO.
struct Polling {
    balancer: Balancer,
    path: String,
    /// The request that waits for packets.
    poll: Option<Exchange>,
    packets: VecDeque<String>,
}

impl Polling {
    async fn open(balancer: Balancer) -> Result<Self> {
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let mut polling = Self { balancer, path, poll: None, packets: VecDeque::new() };
        let handshake = polling.packet().await?;
        let told = handshake.strip_prefix('0').and_then(|told| serde_json::from_str::<Value>(told).ok());
        let sid = told.as_ref().and_then(|told| told["sid"].as_str());
        let sid = sid.ok_or_else(|| Error::other(format!("no handshake: {handshake}")))?;
        polling.path = format!("{}&sid={sid}", polling.path);
        Ok(polling)
    }

    async fn send(&mut self, packet: &str) -> Result<()> {
        let line = format!("POST {}", self.path);
        let sent = async { self.balancer.ask(&line, "", packet).await?.text().await };
        timeout(SEND, sent).await??;
        Ok(())
    }

    /// The next packet. It is cancel safe: a request whose connection is not there yet is made anew.
    async fn packet(&mut self) -> Result<String> {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return Ok(packet);
            }
            if let Some(poll) = &mut self.poll {
                let text = poll.text().await?;
                self.poll = None;
                self.packets.extend(text.split('\x1e').map(str::to_owned));
            } else {
                self.poll = Some(self.balancer.ask(&format!("GET {}", self.path), "", "").await?);
            }
        }
    }

    /// Answers a heartbeat. Whether the packet was one.
    async fn beat(&mut self, packet: &str) -> Result<bool> {
        match packet {
            "2" => self.send("3").await.map(|()| true),
            "1" => Err(Error::other("closed")),
            _ => Ok(false),
        }
    }
}

/// One connection, to its end.
pub(super) async fn visit(client: &mut Client, place: usize) -> Result<()> {
    let mut polling = timeout(HANDSHAKE, Polling::open(client.balancer())).await??;
    let back = client.shown().map(|(pid, offset)| match offset {
        Value::Null => json!({"pid": pid}),
        offset => json!({"pid": pid, "offset": offset}),
    });
    polling.send(&format!("40{}", back.map(|back| back.to_string()).unwrap_or_default())).await?;
    let connected = timeout(RESUME, until(client, &mut polling, "40")).await??;
    let connected: Value = serde_json::from_str(&connected[2..])?;
    let pid = connected["pid"].clone();
    match client.shown() {
        None => client.begin(pid, Value::Null),
        Some((own, _)) if *own == pid => client.note(Step::Recovered { at: Instant::now(), place }),
        Some(_) => client.lose(pid, Value::Null, "another pid"),
    }
    if !client.is_in() {
        introduce(client, &mut polling).await?;
    }
    client.enter();
    listen(client, &mut polling).await
}

/// Says who it is and joins its channels.
async fn introduce(client: &mut Client, polling: &mut Polling) -> Result<()> {
    let member = client.member();
    let user = Target::User(member.user).to_string();
    let [first, second] = member.channels.map(|channel| Target::Channel(channel).to_string());
    let packets = [
        format!(r#"42["IDENT",{{"username":"{user}"}}]"#),
        format!(r#"421["JOIN",{{"channel":"{first}"}}]"#),
        format!(r#"422["JOIN",{{"channel":"{second}"}}]"#),
    ];
    polling.send(&packets.join("\x1e")).await?;
    let answer = timeout(RESUME, until(client, polling, "432")).await??;
    if !answer.contains(r#""ok":true"#) {
        return Err(Error::other(answer));
    }
    client.note(Step::In { at: Instant::now() });
    Ok(())
}

/// The next packet that begins so.
async fn until(client: &mut Client, polling: &mut Polling, begin: &str) -> Result<String> {
    loop {
        let packet = polling.packet().await?;
        if packet.starts_with(begin) {
            return Ok(packet);
        }
        if !polling.beat(&packet).await? {
            hear(client, &packet);
        }
    }
}

/// Takes what comes until the connection ends. A node that stands still is left.
async fn listen(client: &mut Client, polling: &mut Polling) -> Result<()> {
    let cut = Arc::clone(&client.cut);
    let mut signs = interval(SIGN_OF_LIFE);
    let mut is_awaited = false;
    loop {
        // All three may be cancelled.
        tokio::select! {
            packet = polling.packet() => {
                let packet = packet?;
                is_awaited &= !packet.starts_with(r#"42["PONG""#);
                if !polling.beat(&packet).await? {
                    hear(client, &packet);
                }
            }
            () = cut.notified() => return Err(Error::other("cut")),
            _ = signs.tick() => {
                if std::mem::replace(&mut is_awaited, true) {
                    return Err(Error::other("the node stands still"));
                }
                polling.send(r#"42["PING",{}]"#).await?;
            }
        }
    }
}

fn hear(client: &mut Client, packet: &str) {
    let Some(told) = packet.strip_prefix("42") else { return };
    let told: Vec<Value> = serde_json::from_str(told).expect("a server sends JSON");
    // socket.io-client takes the last argument of any event for a position if it is a string.
    let offset = told.last().filter(|last| last.is_string() && told.len() > 1);
    if told[0] == "EVENT" {
        client.hear(&told[1], offset.unwrap_or(&Value::Null));
    } else if let Some(offset) = offset {
        client.pass(offset.clone());
    }
}
