//! A client of event streams, which shows the position of what it has received when it comes back: `docs/protocol-sse.md`.

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::time::timeout;

use super::Target;
use super::client::{Client, HANDSHAKE};
use super::http::Exchange;
use super::journal::Step;

/// Time between two heartbeats of a node, in seconds: behind the missed events one says that a client is back.
pub(crate) const HEARTBEAT: (&str, &str) = ("TURTED_SSE_HEARTBEAT", "2s");
/// A client leaves a stream that is silent for this time. A stream whose node does not reach Redis begins with up to 10 s of it.
const SILENCE: Duration = Duration::from_secs(13);

/// What came up to an empty line.
#[derive(Default)]
struct Block {
    id: Option<String>,
    event: String,
    data: String,
}

/// One connection, to its end.
pub(super) async fn visit(client: &mut Client, place: usize) -> Result<()> {
    let mut stream = timeout(HANDSHAKE, open(client)).await??;
    let mut returned = false;
    let cut = Arc::clone(&client.cut);
    loop {
        // What cancels a block ends the connection.
        let block = tokio::select! {
            block = timeout(SILENCE, block(&mut stream)) => block??,
            () = cut.notified() => return Err(Error::other("cut")),
        };
        let Some(id) = block.id else { continue };
        let id = Value::from(id);
        if !std::mem::replace(&mut returned, true) {
            arrive(client, &id, &block.event, place);
        }
        if block.event.is_empty() && !block.data.is_empty() {
            client.hear(&serde_json::from_str(&block.data).expect("a server sends JSON"), &id);
        } else {
            client.pass(id);
        }
    }
}

/// Asks for the stream of its user and its channels, behind what it has received.
async fn open(client: &mut Client) -> Result<Exchange> {
    let member = client.member();
    let [first, second] = member.channels.map(Target::Channel);
    let line = format!("GET /sse?envelope=1&channel={first}&channel={second}");
    let user = STANDARD.encode(format!("{}:", Target::User(member.user)));
    let mut headers = format!("Authorization: Basic {user}\r\n");
    if let Some((_, id)) = client.shown() {
        headers.push_str(&format!("Last-Event-ID: {}\r\n", id.as_str().unwrap_or_default()));
    }
    let mut stream = client.balancer().ask(&line, &headers, "").await?;
    match stream.status().await? {
        200 => Ok(stream),
        status => Err(Error::other(status.to_string())),
    }
}

/// What the first position says: it is back, or was told a gap.
fn arrive(client: &mut Client, id: &Value, event: &str, place: usize) {
    let at = Instant::now();
    match client.shown() {
        None => client.begin(Value::Null, id.clone()),
        Some(_) if event == "turted:gap" => client.lose(Value::Null, id.clone(), "gap"),
        Some(_) => client.note(Step::Recovered { at, place }),
    }
    if !client.is_in() {
        client.note(Step::In { at });
    }
    client.enter();
}

async fn block(stream: &mut Exchange) -> Result<Block> {
    let mut block = Block::default();
    loop {
        let line = stream.line().await?.ok_or_else(|| Error::other("the end"))?;
        match line.split_once(": ") {
            None if line.is_empty() => return Ok(block),
            Some(("id", id)) => block.id = Some(id.to_owned()),
            Some(("event", event)) => event.clone_into(&mut block.event),
            Some(("data", data)) => block.data.push_str(data),
            _ => {}
        }
    }
}
