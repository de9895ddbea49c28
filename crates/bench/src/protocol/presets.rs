//! turted itself, and what the options are for servers of others. Each preset says where its facts come from.

use std::sync::Arc;

use super::{Again, FORM, Header, Keep, Protocol, PushForm, Speech};
use crate::plan::Spread;
use crate::transport::Transport;

const JSON: &str = "application/json";

/// A server of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Centrifugo with JSON over WebSocket, or over SSE with --transport sse (`uni_sse`)
    Centrifugo,
    /// Action Cable as AnyCable speaks it, with public streams
    #[value(name = "actioncable")]
    ActionCable,
    /// Mercure; TURTED_PUSH_PASSWORD is the token of its publishers
    Mercure,
}

impl Preset {
    /// The transports that the preset can use; the first one is used if none is named.
    pub(super) fn transports(self) -> &'static [Transport] {
        match self {
            Self::Centrifugo => &[Transport::Plain, Transport::Sse],
            Self::ActionCable => &[Transport::Plain],
            Self::Mercure => &[Transport::Sse],
        }
    }

    /// What is said to the server over one of its transports.
    pub(super) fn protocol(self, transport: Transport) -> Protocol {
        match self {
            Self::Centrifugo => centrifugo(transport),
            Self::ActionCable => action_cable(),
            Self::Mercure => mercure(),
        }
    }
}

/// turted: one of its transports, and a push to the targets of the run.
pub(super) fn turted(transport: Transport, spread: Spread) -> Protocol {
    let targets = match spread {
        Spread::Broadcast => r#"{"broadcast":true}"#.to_owned(),
        Spread::Channels(_) => r#"{"channels":["{channel}"]}"#.to_owned(),
        Spread::Users(users) => {
            let names: Vec<_> = (0..users).filter_map(|index| spread.user(index)).collect();
            format!(r#"{{"users":{}}}"#, serde_json::json!(names))
        }
    };
    Protocol {
        transport,
        path: transport.default_path().to_owned(),
        speech: Arc::new(if transport == Transport::Sse { event_source() } else { Speech::default() }),
        push: PushForm {
            path: "/push/".to_owned(),
            headers: vec![],
            content_type: JSON.to_owned(),
            body: format!(r#"{{"event":"BENCH","targets":{targets},"payload":{{payload}}}}"#),
        },
    }
}

/// How an `EventSource` comes back: with the id of the last event.
fn event_source() -> Speech {
    Speech {
        keeps: vec![Keep::of("id", "id: ")],
        again: Again { headers: vec![Header::of("last-event-id", "{id}")], ..Again::default() },
        ..Speech::default()
    }
}

/// Centrifugo's JSON protocol: a frame holds commands or replies, one a line; `{}` is its ping and the answer
/// to it. Over `uni_sse` the query has what a client asks for, and the first event is the reply. A client comes back
/// with the epoch of the channel and the offset of the last publication, if the channel has history and recovery.
/// Source: Centrifugo's pages "Client protocol", "uni_sse" and "Server API walkthrough", version 6.
fn centrifugo(transport: Transport) -> Protocol {
    let keeps = vec![Keep::of("epoch", r#""epoch":""#), Keep::of("offset", r#""offset":"#)];
    let (path, speech) = match transport {
        Transport::Sse => (
            "/connection/uni_sse?cf_connect=%7B%22subs%22%3A%7B%22{channel}%22%3A%7B%7D%7D%7D",
            Speech {
                awaits: texts(&[r#""connect":{"#]),
                refusals: texts(&[r#""disconnect":{"#]),
                ping: Some("{}".to_owned()),
                keeps,
                again: Again {
                    path: Some(
                        "/connection/uni_sse?cf_connect=%7B%22subs%22%3A%7B%22{channel}%22%3A%7B%22recover%22%3Atrue%2C\
                         %22epoch%22%3A%22{epoch}%22%2C%22offset%22%3A{offset}%7D%7D%7D"
                            .to_owned(),
                    ),
                    ..Again::default()
                },
                ..Speech::default()
            },
        ),
        _ => (
            "/connection/websocket",
            Speech {
                says: texts(&[
                    "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"{channel}\"}}",
                ]),
                awaits: texts(&[r#""id":2"#]),
                refusals: texts(&[r#""error":{"#]),
                ping: Some("{}".to_owned()),
                pong: Some("{}".to_owned()),
                lines: true,
                keeps,
                again: Again {
                    says: texts(&["{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"{channel}\",\
                                   \"recover\":true,\"epoch\":\"{epoch}\",\"offset\":{offset}}}"]),
                    ..Again::default()
                },
                ..Speech::default()
            },
        ),
    };
    Protocol {
        transport,
        path: path.to_owned(),
        speech: Arc::new(speech),
        push: PushForm {
            path: "/api/publish".to_owned(),
            headers: vec![Header::of("x-api-key", "{password}")],
            content_type: JSON.to_owned(),
            body: r#"{"channel":"{channel}","data":{payload}}"#.to_owned(),
        },
    }
}

/// Action Cable: the server welcomes, the client subscribes and is confirmed. Pings are not answered.
/// Source: "Action Cable protocol" and "Broadcasting" of AnyCable 1.6; `$pubsub` is its name for a public stream.
fn action_cable() -> Protocol {
    let subscribe =
        r#"{"command":"subscribe","identifier":"{\"channel\":\"$pubsub\",\"stream_name\":\"{channel}\"}"}"#;
    let speech = Speech {
        headers: vec![Header::of("sec-websocket-protocol", "actioncable-v1-json")],
        says: texts(&["", subscribe]),
        awaits: texts(&[r#""type":"welcome""#, r#""type":"confirm_subscription""#]),
        refusals: texts(&[r#""type":"reject_subscription""#, r#""type":"disconnect""#]),
        ping: Some(r#"{"type":"ping""#.to_owned()),
        ..Speech::default()
    };
    Protocol {
        transport: Transport::Plain,
        path: "/cable".to_owned(),
        speech: Arc::new(speech),
        push: PushForm {
            path: "/_broadcast".to_owned(),
            headers: vec![],
            content_type: JSON.to_owned(),
            body: r#"{"stream":"{channel}","data":{payload_string}}"#.to_owned(),
        },
    }
}

/// Mercure: event streams whose topic is in the query. A subscriber is registered before its answer begins, and
/// the first bytes of the body may be an event, so a client waits for the head alone.
/// Source: "The Mercure Protocol", and `subscribe.go` of Mercure.
fn mercure() -> Protocol {
    Protocol {
        transport: Transport::Sse,
        path: "/.well-known/mercure?topic={channel}".to_owned(),
        speech: Arc::new(Speech { awaits: texts(&[""]), ..event_source() }),
        push: PushForm {
            path: "/.well-known/mercure".to_owned(),
            headers: vec![],
            content_type: FORM.to_owned(),
            body: "topic={channel}&data={payload}".to_owned(),
        },
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
