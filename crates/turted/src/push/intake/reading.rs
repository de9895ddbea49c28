//! From a message to its dispatches: as a push body, or by the map of its source.

use turted_core::dispatch::Dispatch;
use turted_core::push::emitter::{self, EmitterLimits};
use turted_core::push::map::Map;
use turted_core::push::{self, PushLimits};

use super::message::{Message, Refusal};
use super::portion::PortionLimits;
use crate::auth::passwords::Passwords;
use crate::config::secrets::Current;
use crate::config::{Config, MessageFormat, PushSource, SourceKind};

/// How the messages of one source are read.
#[derive(Debug)]
pub(crate) struct Reading {
    map: Option<Map>,
    is_emitter: bool,
    /// The passwords for pushes, if a message must carry one.
    passwords: Option<Current<Passwords>>,
    limits: PushLimits,
    /// Bytes of one message (`limits.push_body_bytes`).
    body_bytes: usize,
    /// How much is accepted together.
    pub(super) portion: PortionLimits,
}

fn is_emitter(source: &PushSource) -> bool {
    match &source.kind {
        SourceKind::RedisPubSub(pubsub) => pubsub.format == MessageFormat::SocketioEmitter,
        _ => false,
    }
}

/// What a message says.
#[derive(Debug)]
pub(crate) struct Read {
    /// `None` if the expression of the map does not match the message.
    pub(crate) dispatches: Option<Vec<Dispatch>>,
    /// The `id` in the body of a push.
    pub(crate) id: Option<String>,
}

impl Reading {
    pub(crate) fn new(source: &PushSource, config: &Config, passwords: &Current<Passwords>) -> Self {
        let limits = &config.limits;
        Self {
            map: source.map.clone(),
            is_emitter: is_emitter(source),
            passwords: source.require_auth.then(|| passwords.clone()),
            limits: PushLimits {
                targets: limits.targets,
                dispatches: limits.batch_dispatches,
                expansion_bytes: limits.expansion_bytes,
            },
            body_bytes: limits.push_body_bytes,
            portion: PortionLimits::new(limits),
        }
    }

    /// Whether a message may have any bytes, line ends among them.
    pub(crate) fn is_binary(&self) -> bool {
        self.is_emitter
    }

    /// Reads one message.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn read<T>(&self, message: &Message<T>) -> Result<Read, Refusal> {
        let body = message.body.as_ref().map_err(Clone::clone)?;
        if body.len() > self.body_bytes {
            let detail = "the message is too long (limits.push_body_bytes)".to_owned();
            return Err(Refusal { rule: "body-too-long", detail });
        }
        match &self.map {
            Some(map) => {
                let dispatch = map.dispatch(body, &message.labels.values())?;
                Ok(Read { dispatches: dispatch.map(|dispatch| vec![dispatch]), id: None })
            }
            None if self.is_emitter => self.read_emitted(body, &message.labels.channel),
            None => self.read_push(body),
        }
    }

    fn read_emitted(&self, body: &[u8], channel: &str) -> Result<Read, Refusal> {
        let limits = EmitterLimits { push: self.limits, json_bytes: self.body_bytes };
        let dispatch = emitter::dispatch(channel.as_bytes(), body, limits)?;
        Ok(Read { dispatches: Some(vec![dispatch]), id: None })
    }

    fn read_push(&self, body: &[u8]) -> Result<Read, Refusal> {
        let parsed = push::parse(body, self.limits)?;
        let dispatches = match self.passwords.as_ref().and_then(Current::get) {
            None => parsed.into_dispatches()?,
            Some(passwords) => {
                let password = passwords.of_push(None, parsed.credentials())?;
                parsed.into_dispatches_of(&password.scope)?
            }
        };
        Ok(Read { dispatches: Some(dispatches), id: id(body) })
    }
}

/// The `id` in the body of a push. Most have none, and are not read a second time: a name without escapes stands there as
/// it is.
fn id(body: &[u8]) -> Option<String> {
    let may_have_one = body.windows(4).any(|part| part == br#""id""#) || body.contains(&b'\\');
    may_have_one.then(|| push::id(body)).flatten()
}
