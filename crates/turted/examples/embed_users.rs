//! A server inside a program that knows its users: it reads the configuration of turted, verifies IDENTs itself, and
//! tells how many connections an event reaches.
//!
//! `cargo run --example embed_users`, then connect and IDENT with `{"session":"1f0c"}`:
//!
//! ```sh
//! curl -N -H 'Authorization: Bearer 1f0c' 'http://127.0.0.1:7117/sse?channel=news.sport'
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::to_raw_value;
use tokio::time::sleep;
use turted::authenticator::{Grants, IdentRefusal, IdentRequest, Verified};
use turted::config::{self, ConfigFile, Sources};
use turted::dispatcher::Dispatcher;
use turted::server::Server;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::name::Name;

/// What this program wants to see in an IDENT. Event streams show it as their token.
#[derive(Deserialize)]
struct Shown {
    #[serde(alias = "token")]
    session: String,
}

/// The sessions that are logged in; a program of your own asks its database.
type Sessions = HashMap<String, String>;

async fn verify(sessions: Arc<Sessions>, request: IdentRequest) -> Result<Verified, IdentRefusal> {
    let shown: Shown = serde_json::from_str(request.ident.get()).map_err(|_| IdentRefusal::NotVerified)?;
    let user = sessions.get(&shown.session).ok_or(IdentRefusal::NotVerified)?;
    let user = Name::new(user).map_err(|_| IdentRefusal::NotVerified)?;
    let channels = Grants::parse(&["news.*"]).map_err(|_| IdentRefusal::NotVerified)?;
    Ok(Verified { channels, ..Verified::user(user) })
}

/// Pushes an event now and then, to users and a channel at once.
async fn report(dispatcher: Dispatcher) -> Result<(), Box<dyn Error>> {
    loop {
        sleep(Duration::from_secs(5)).await;
        let targets = Targets {
            users: vec![Name::new("alice")?],
            channels: vec![Name::new("news.sport")?],
            broadcast: false,
        };
        let dispatch = Dispatch { event: Name::new("GOAL")?, payload: to_raw_value(&[2, 1])?, targets };
        let (receipt, reached) = dispatcher.dispatch_counted(vec![dispatch])?;
        for (position, reached) in receipt.await?.iter().zip(reached) {
            println!("{position} reached {} connections", reached.count().await);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let loaded = config::load(&Sources {
        file: ConfigFile::IfPresent(PathBuf::from("turted.toml")),
        variables: std::env::vars_os().collect(),
        flags: Vec::new(),
    })?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }

    let sessions = Arc::new(Sessions::from([("1f0c".to_owned(), "alice".to_owned())]));
    let server = Server::builder(loaded.config)
        .authenticator(move |request| verify(Arc::clone(&sessions), request))
        .bind()?;
    println!("listening on http://{}", server.address());

    let dispatcher = server.dispatcher();
    let stop = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            ended = report(dispatcher) => eprintln!("no more reports: {ended:?}"),
        }
    };
    server.run(stop).await?;
    Ok(())
}
