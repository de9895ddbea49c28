//! HTTP: from a socket to a [`Call`].

pub(crate) mod accept;
pub(crate) mod entrance;
pub(crate) mod guests;
pub(crate) mod endpoint;
pub(crate) mod one;
pub(crate) mod two;
pub(crate) mod proxies;
pub(crate) mod cors;
pub(crate) mod negotiation;
pub(crate) mod query;
pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod refusal;
mod bodies;
mod body;
mod patience;
mod rules;
pub(crate) mod paced;
mod fragment;
pub(crate) mod streaming;
pub(crate) mod websocket;

pub(crate) use answer::{Answer, Takeover, Unavailable, allow, answer, bare, close_after, text};
pub(crate) use bodies::{BodyRefusal, read_body};
pub(crate) use body::Body;
pub(crate) use call::{Call, HEALTH, Outcome, check_target, without_slash};
pub(crate) use endpoint::Arrival;
pub(crate) use one::{builder, serve};
pub(crate) use patience::Patience;
pub(crate) use rules::check as check_rules;
