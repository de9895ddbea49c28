//! The names of closed sets: what an operator writes for each member.

use super::input::Choice;
use super::log::{StoreChoice, SyncChoice};
use super::model::{IdentMode, LogFormat, LogLevel};
use super::push_sources::model::StartAt;
use super::push_sources::servers::{ExchangeKind, MessageFormat};
use super::settings::{ClientMethod, PushMethod};
use super::text::quote;
use crate::auth::Algorithm;
use turted_core::auth::Hash;
use turted_core::channel::Join;
use turted_core::push::map::PayloadForm;

impl Choice for LogLevel {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl Choice for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for StoreChoice {
    const NAMES: &'static [(&'static str, Self)] =
        &[("memory", Self::Memory), ("disk", Self::Disk), ("redis", Self::Redis)];
}

impl Choice for SyncChoice {
    const NAMES: &'static [(&'static str, Self)] =
        &[("always", Self::Always), ("interval", Self::Interval), ("never", Self::Never)];
}

impl Choice for ClientMethod {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("accept", Self::Accept),
        ("password", Self::Password),
        ("token", Self::Token),
        ("jwt", Self::Jwt),
        ("http", Self::Http),
    ];
}

impl Choice for PushMethod {
    const NAMES: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("password", Self::Password), ("http", Self::Http)];
}

impl Choice for Hash {
    const NAMES: &'static [(&'static str, Self)] =
        &[("md5", Self::Md5), ("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha512", Self::Sha512)];
}

impl Choice for Algorithm {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("HS256", Self::HS256),
        ("HS384", Self::HS384),
        ("HS512", Self::HS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("EdDSA", Self::EdDSA),
    ];
}

impl Choice for Join {
    const NAMES: &'static [(&'static str, Self)] =
        &[("open", Self::Open), ("identified", Self::Identified), ("claim", Self::Claim)];
}

impl Choice for IdentMode {
    const NAMES: &'static [(&'static str, Self)] = &[("replace", Self::Replace), ("add", Self::Add)];
}

impl Choice for PayloadForm {
    const NAMES: &'static [(&'static str, Self)] =
        &[("json", Self::Json), ("text", Self::Text), ("captures", Self::Captures)];
}

impl Choice for MessageFormat {
    const NAMES: &'static [(&'static str, Self)] =
        &[("push", Self::Push), ("socketio-emitter", Self::SocketioEmitter)];
}

impl Choice for ExchangeKind {
    const NAMES: &'static [(&'static str, Self)] = Self::NAMES;
}

impl Choice for StartAt {
    const NAMES: &'static [(&'static str, Self)] = &[("end", Self::End), ("start", Self::Start)];
}

/// All names of a set, as a message has them.
pub(super) fn names<T: Choice>() -> String {
    let names: Vec<String> = T::NAMES.iter().map(|(name, _)| quote(name)).collect();
    let (last, rest) = names.split_last().expect("a closed set has members");
    format!("{} or {last}", rest.join(", "))
}

/// A member as TOML.
pub(super) fn show_choice<T: Choice>(choice: T) -> String {
    let named = T::NAMES.iter().find(|(_, other)| *other == choice);
    quote(named.expect("every member has a name").0)
}
