//! HTTP: from a socket to a [`Call`].
//!
//! | file | what |
//! |---|---|
//! | `accept`, `guests` | accepts connections; those that come when all places are taken |
//! | `entrance` | what a connection passes before its first request: the PROXY header, the TLS handshake |
//! | `one`, `two` | a connection of HTTP/1, and one of HTTP/2 |
//! | `short`, `rewound` | the short way of a push, without hyper; a channel of which something was read already |
//! | `parked` | a request of HTTP/1 that waits outside of hyper |
//! | `encode` | an answer on the short way as bytes |
//! | `paced`, `patience`, `fragment` | what limits a connection of HTTP: the time for answers, the wait for requests, no `#` in a target |
//! | `rules`, `proxies` | what every request of HTTP/1 must keep; the client behind a proxy |
//! | `call`, `endpoint` | a request and what becomes of it; what answers it, found by path |
//! | `passing` | requests for sessions of other nodes |
//! | `query`, `negotiation`, `cors` | the query of a request, its `Accept`, and which pages may make it |
//! | `incoming`, `bodies` | the body of a request; reads bodies, each into one buffer |
//! | `answer`, `body`, `head` | answers, and takeovers of sockets; their bodies, and their heads where hyper does not write them |
//! | `embedded` | files that are part of the program |
//! | `refusal` | a row of the tables of refusals: its rule, its status and its text |
//! | `streaming` | responses that do not end |
//! | `websocket` | WebSockets, whatever is spoken on them |

pub(crate) mod accept;
pub(crate) mod guests;
pub(crate) mod entrance;
pub(crate) mod one;
pub(crate) mod two;
mod short;
mod parked;
mod rewound;
mod encode;
pub(crate) mod paced;
mod patience;
mod fragment;
mod rules;
pub(crate) mod proxies;
pub(crate) mod call;
pub(crate) mod endpoint;
pub(crate) mod passing;
pub(crate) mod query;
pub(crate) mod negotiation;
pub(crate) mod cors;
mod incoming;
mod bodies;
pub(crate) mod answer;
mod body;
mod head;
pub(crate) mod embedded;
pub(crate) mod refusal;
pub(crate) mod streaming;
pub(crate) mod websocket;

pub(crate) use answer::{
    Answer, Takeover, Unavailable, allow, answer, bare, close_after, nothing_here, text,
};
pub(crate) use bodies::{BodyRefusal, read_body, read_counted};
pub(crate) use body::Body;
pub(crate) use call::{Call, HEALTH, Outcome, check_target, without_slash};
pub(crate) use endpoint::Arrival;
pub(crate) use incoming::RequestBody;
pub(crate) use one::{builder, serve};
pub(crate) use patience::Patience;
pub(crate) use rules::check as check_rules;
