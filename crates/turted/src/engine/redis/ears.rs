//! Hears what nodes are told.

use std::time::Duration;

use bytes::Bytes;
use turted_core::wire::resp::Reply;

use super::super::{Ears, Failure};
use super::client::{ANSWER_WAIT, Client, failure, unknown};
use super::keys::Keys;

/// How long nothing may come before the server is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(5);

/// A connection that hears.
pub(crate) struct RedisEars {
    client: Client,
    /// Whether the server was asked whether it is there, and has not answered yet.
    is_asked: bool,
}

/// What a subscriber is sent.
enum Heard {
    Message(Bytes),
    Subscribed,
    /// A message that is above any of ours.
    TooLarge,
    Alive,
}

impl RedisEars {
    pub(super) async fn new(mut client: Client, keys: &Keys, node: u16) -> Result<Self, Failure> {
        client.add(["SUBSCRIBE", &keys.nodes, &keys.node(node)]);
        // One for each channel. Redis does a command as a whole, so no message comes between.
        for reply in client.replies(2, Duration::ZERO).await? {
            if !matches!(heard(reply)?, Heard::Subscribed) {
                return Err(unknown("SUBSCRIBE"));
            }
        }
        Ok(Self { client, is_asked: false })
    }
}

impl Ears for RedisEars {
    /// # Cancel safety
    /// No message is lost.
    async fn hear(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let silence = if self.is_asked { ANSWER_WAIT } else { SILENCE };
            let Some(reply) = self.client.next(silence).await? else {
                if self.is_asked {
                    return Err(Failure::Lost(format!("Redis says nothing for {} s", silence.as_secs())));
                }
                self.client.add(["PING"]);
                self.is_asked = true;
                // Sends it, and waits for nothing.
                self.client.replies(0, Duration::ZERO).await?;
                continue;
            };
            let was_asked = std::mem::replace(&mut self.is_asked, false);
            match heard(reply)? {
                Heard::Message(message) => return Ok(Some(message)),
                Heard::Alive if was_asked => return Ok(None),
                Heard::Subscribed | Heard::TooLarge | Heard::Alive => {}
            }
        }
    }
}

fn heard(reply: Reply) -> Result<Heard, Failure> {
    let parts = match reply {
        // A server that cannot write to its disk answers PING so. It can still pass messages on.
        Reply::Error(error) if error.starts_with(b"MISCONF") => return Ok(Heard::Alive),
        Reply::Error(error) => return Err(failure(&error)),
        reply => reply.into_values().unwrap_or_default(),
    };
    let mut parts = parts.into_iter();
    match parts.next() {
        Some(Reply::Text(kind)) if kind == "message" => match parts.nth(1) {
            Some(Reply::Text(message)) => Ok(Heard::Message(message)),
            Some(Reply::TooLarge) => Ok(Heard::TooLarge),
            _ => Err(unknown("SUBSCRIBE")),
        },
        Some(Reply::Text(kind)) if kind == "subscribe" => Ok(Heard::Subscribed),
        Some(Reply::Text(kind)) if kind == "pong" => Ok(Heard::Alive),
        _ => Err(unknown("SUBSCRIBE")),
    }
}
