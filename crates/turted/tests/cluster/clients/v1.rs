//! A client of turted.v1 that comes back with its session and the position of what it has received, as `docs/protocol-v1.md`
//! says.

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::Target;
use super::client::{Client, HANDSHAKE, RESUME, SIGN_OF_LIFE};
use super::journal::Step;
use super::sockjs::SockJs;
use super::way::Way;
use super::wire::WebSocket;

/// What carries the messages.
enum Wire {
    WebSocket(WebSocket),
    SockJs(SockJs),
}

impl Wire {
    async fn connect(client: &mut Client, place: usize) -> Result<Self> {
        if client.way == Way::SockJs {
            return Ok(Self::SockJs(SockJs::connect(client.balancer()).await?));
        }
        let address = client.directory.address(place).ok_or_else(|| Error::other("the node is gone"))?;
        Ok(Self::WebSocket(WebSocket::connect(address).await?))
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        match self {
            Self::WebSocket(socket) => socket.send(message).await,
            Self::SockJs(sockjs) => sockjs.send(message).await,
        }
    }

    /// The next message. It is cancel safe.
    async fn message(&mut self) -> Result<Value> {
        match self {
            Self::WebSocket(socket) => socket.message().await,
            Self::SockJs(sockjs) => sockjs.message().await,
        }
    }

    /// The next message that has this member. What comes before it is dropped.
    async fn until(&mut self, member: &str) -> Result<Value> {
        loop {
            let mut message = self.message().await?;
            if message.get(member).is_some() {
                return Ok(message[member].take());
            }
        }
    }
}

/// One connection, to its end.
pub(super) async fn visit(client: &mut Client, place: usize) -> Result<()> {
    let patience = if client.way == Way::SockJs { RESUME } else { HANDSHAKE };
    let mut wire = timeout(patience, Wire::connect(client, place)).await??;
    let welcome = timeout(RESUME, wire.until("welcome")).await??;
    let begins = |client: &mut Client| client.begin(welcome["session"].clone(), welcome["cursor"].clone());
    match client.shown() {
        None => begins(client),
        Some((session, cursor)) => {
            wire.send(&json!({"id": "r", "do": "resume", "session": session, "cursor": cursor})).await?;
            // Events before the reply come again.
            let reply = timeout(RESUME, reply(&mut wire)).await??;
            resumed(client, &reply, &welcome, place)?;
        }
    }
    if !client.is_in() {
        introduce(client, &mut wire).await?;
    }
    client.enter();
    listen(client, &mut wire).await
}

/// The reply to `resume`.
async fn reply(wire: &mut Wire) -> Result<Value> {
    loop {
        let message = wire.message().await?;
        if message["reply"] == "r" {
            return Ok(message);
        }
    }
}

fn resumed(client: &mut Client, reply: &Value, welcome: &Value, place: usize) -> Result<()> {
    if reply["ok"] == true {
        client.rename(reply["session"].clone());
        client.note(Step::Recovered { at: Instant::now(), place });
        return Ok(());
    }
    let code = reply["error"]["code"].as_str().unwrap_or_default();
    if code != "gap" && code != "session-unknown" {
        return Err(Error::other(format!("resume: {code}")));
    }
    client.lose(welcome["session"].clone(), welcome["cursor"].clone(), code);
    Ok(())
}

/// Says who it is and joins its channels.
async fn introduce(client: &mut Client, wire: &mut Wire) -> Result<()> {
    let member = client.member();
    let user = Target::User(member.user).to_string();
    wire.send(&json!({"id": "i", "do": "ident", "data": {"username": user}})).await?;
    let channels = member.channels.map(|channel| Target::Channel(channel).to_string());
    wire.send(&json!({"id": "j", "do": "join", "channels": channels})).await?;
    let reply = timeout(RESUME, until_joined(client, wire)).await??;
    if reply["ok"] != true {
        return Err(Error::other(reply.to_string()));
    }
    client.note(Step::In { at: Instant::now() });
    Ok(())
}

/// The reply to the JOIN.
async fn until_joined(client: &mut Client, wire: &mut Wire) -> Result<Value> {
    loop {
        let message = wire.message().await?;
        hear(client, &message);
        if message["reply"] == "j" {
            return Ok(message);
        }
    }
}

/// Takes what comes until the connection ends. A node that stands still is left.
async fn listen(client: &mut Client, wire: &mut Wire) -> Result<()> {
    let cut = Arc::clone(&client.cut);
    let mut signs = interval(SIGN_OF_LIFE);
    let mut is_awaited = false;
    loop {
        // All three may be cancelled.
        tokio::select! {
            message = wire.message() => {
                let message = message?;
                is_awaited &= message["reply"] != "p";
                hear(client, &message);
            }
            () = cut.notified() => return Err(Error::other("cut")),
            _ = signs.tick() => {
                if std::mem::replace(&mut is_awaited, true) {
                    return Err(Error::other("the node stands still"));
                }
                wire.send(&json!({"id": "p", "do": "ping"})).await?;
            }
        }
    }
}

fn hear(client: &mut Client, message: &Value) {
    if message.get("event").is_some() {
        client.hear(message, &message["cursor"]);
    } else if let Some(cursor) = message.get("cursor") {
        client.pass(cursor.clone());
    }
}
