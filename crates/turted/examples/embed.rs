//! A server inside a program of your own: it hears events and sends some itself.
//!
//! `cargo run --example embed`, then connect a client to port 7117, IDENT as `adam`, JOIN `chat`, and
//!
//! ```sh
//! curl -d '{"event":"MESSAGE:NEW","targets":{"channels":["chat"]},"payload":{"text":"hello"}}' \
//!     http://127.0.0.1:7117/push/
//! ```

use std::error::Error;

use serde_json::json;
use turted::config::Config;
use turted::server::Server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind(Config::default())?;
    let dispatcher = server.dispatcher();

    // Handlers run where the event is dispatched: they must be short. They may dispatch.
    let answering = dispatcher.clone();
    dispatcher.on("MESSAGE:NEW", move |dispatch| {
        let told =
            answering.notify_user("adam", "MESSAGE:COUNT", &json!({"bytes": dispatch.payload.get().len()}));
        if let Err(refusal) = told {
            tracing::warn!(%refusal, "adam was not told");
        }
    });
    dispatcher.on("*", |dispatch| tracing::info!(event = dispatch.event.as_str(), "dispatched"));

    dispatcher.notify_channel("chat", "TOPIC", &"welcome")?;
    dispatcher.broadcast("SERVER:UP", &json!({"address": server.address()}))?;
    server.run(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
