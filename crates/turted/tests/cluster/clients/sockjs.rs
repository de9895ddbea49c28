//! A session of SockJS by `xhr_streaming`, each request of which goes to any node.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::http::Exchange;
use super::way::Balancer;

/// A node that cannot ask where a session is answers 503 after 10 s.
const SEND: Duration = Duration::from_secs(13);

pub(super) struct SockJs {
    balancer: Balancer,
    session: String,
    receiving: Option<Exchange>,
    messages: VecDeque<String>,
}

impl SockJs {
    /// A session that is open and speaks turted.v1.
    pub(super) async fn connect(balancer: Balancer) -> Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let session = format!("/turted/000/soak-{}-{number}", std::process::id());
        let mut sockjs = Self { balancer, session, receiving: None, messages: VecDeque::new() };
        match &*sockjs.frame().await? {
            "o" => {}
            frame => return Err(Error::other(format!("not open: {frame}"))),
        }
        sockjs.send(&json!({"type": "hello", "protocol": "turted.v1"})).await?;
        Ok(sockjs)
    }

    pub(super) async fn send(&mut self, message: &Value) -> Result<()> {
        let (line, body) = (format!("POST {}/xhr_send", self.session), json!([message.to_string()]));
        let sent = async { self.balancer.ask(&line, "", &body.to_string()).await?.text().await };
        timeout(SEND, sent).await??;
        Ok(())
    }

    /// The next message. It is cancel safe: a request whose connection is not there yet is made anew.
    pub(super) async fn message(&mut self) -> Result<Value> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(serde_json::from_str(&message).expect("a server sends JSON"));
            }
            let frame = self.frame().await?;
            match frame.split_at(frame.len().min(1)) {
                ("h", _) => {}
                ("a", list) => self.messages.extend(serde_json::from_str::<Vec<String>>(list)?),
                _ => return Err(Error::other(format!("closed with {frame}"))),
            }
        }
    }

    async fn frame(&mut self) -> Result<String> {
        loop {
            let Some(receiving) = &mut self.receiving else {
                let line = format!("POST {}/xhr_streaming", self.session);
                self.receiving = Some(self.balancer.ask(&line, "", "").await?);
                continue;
            };
            match receiving.status().await? {
                200 => {}
                status => return Err(Error::other(format!("xhr_streaming: {status}"))),
            }
            match receiving.line().await? {
                // The prelude.
                Some(line) if line.starts_with("hh") => {}
                Some(line) => return Ok(line),
                None => self.receiving = None,
            }
        }
    }
}
