//! What the emitters of Socket.IO publish in Redis (@socket.io/redis-emitter, and those of other languages): MessagePack
//! of `[id, {type, data: [event, payload], nsp}, {rooms, except, flags}]`. Rooms become channels.
//!
//! Servers of Socket.IO with the adapter for Redis publish the same to each other, with an id of their own. Emitters for
//! servers before 1.4 publish `[packet, options]`. Flags are skipped: each is a hint how to send.

use serde_json::value::RawValue;

use super::form::{read_event, read_payload};
use super::refusal::PushRefusal;
use super::{PushLimits, targets};
use crate::dispatch::{Dispatch, Targets};
use crate::json::{self, Members};
use crate::name::Name;
use crate::wire::msgpack::{self, Fault};

/// What stands before a room in the name of a Redis channel, behind the key of the emitter: the namespace of all.
const NAMESPACE: &str = "#/#";
/// An event of socket.io-parser. The other one, 5, has binary attachments.
const EVENT: &str = "2";

/// How much one message may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmitterLimits {
    /// As of a push.
    pub push: PushLimits,
    /// Bytes of the message as JSON: `limits.push_body_bytes`.
    pub json_bytes: usize,
}

/// The dispatch that an emitter asks for with a message on a Redis channel.
///
/// If the channel names a room (`socket.io#/#chat#`), that room alone is the target: an emitter for Python publishes a
/// message for two rooms in the channels of both, each time with both rooms inside.
///
/// ```
/// use turted_core::push::emitter::{self, EmitterLimits};
/// use turted_core::push::PushLimits;
/// let message = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa3new\x07\xa3nsp\xa1/\x82\xa5rooms\x90\xa5flags\x80";
/// let limits = EmitterLimits { push: PushLimits::default(), json_bytes: 1_000 };
/// let dispatch = emitter::dispatch(b"socket.io#/#chat#", message, limits).unwrap();
/// assert_eq!((dispatch.event.as_str(), dispatch.payload.get()), ("new", "7"));
/// assert_eq!(dispatch.targets.channels[0].as_str(), "chat");
/// ```
///
/// # Errors
/// The rule that the message breaks.
pub fn dispatch(channel: &[u8], message: &[u8], limits: EmitterLimits) -> Result<Dispatch, PushRefusal> {
    let text = msgpack::to_json(message, limits.json_bytes).map_err(|fault| no_json(message, fault))?;
    let [packet, options] = parts(&text).ok_or_else(|| shape("", "a message is [id, packet, options]"))?;
    let Packet { event, payload } = Packet::read(packet)?;
    let rooms = rooms(options, limits.push.targets)?;
    let targets = match room_of(channel)? {
        Some(room) => Targets::channel(room),
        None if rooms.is_empty() => Targets::broadcast(),
        None => Targets { channels: rooms, ..Targets::default() },
    };
    let dispatch = Dispatch { event, payload, targets };
    let (bytes, most) = (dispatch.expansion_bytes(), limits.push.expansion_bytes);
    if bytes > most { Err(PushRefusal::expansion_too_large(bytes, most)) } else { Ok(dispatch) }
}

fn no_json(message: &[u8], fault: Fault) -> PushRefusal {
    let rule = match fault {
        Fault::Malformed(_) | Fault::Trailing(_) => "emitter-not-msgpack",
        Fault::Binary => "emitter-binary",
        Fault::Extension(_) => "emitter-extension",
        Fault::Key => "emitter-key",
        Fault::Depth => "emitter-too-deep",
        Fault::Size => "emitter-too-large",
    };
    let detail = match fault {
        Fault::Trailing(_) if message.first() == Some(&b'{') => {
            "the message is JSON, as python-socketio publishes it; it must be MessagePack".into()
        }
        Fault::Size => format!("{fault} (limits.push_body_bytes)"),
        _ => fault.to_string(),
    };
    PushRefusal::rule(rule, "", detail)
}

fn shape(field: &str, detail: &'static str) -> PushRefusal {
    PushRefusal::rule("emitter-shape", field, detail)
}

/// Packet and options.
fn parts(text: &str) -> Option<[&RawValue; 2]> {
    match *values::<4>(text)?.as_slice() {
        [packet, options] | [_, packet, options] => Some([packet, options]),
        _ => None,
    }
}

/// The values of an array, of which no more than `MOST` are kept.
fn values<const MOST: usize>(array: &str) -> Option<Vec<&RawValue>> {
    if !array.starts_with('[') {
        return None;
    }
    let mut values = Vec::new();
    let syntax = json::each(array, |_, value| {
        if values.len() < MOST {
            values.push(value);
        }
    });
    syntax.is_ok().then_some(values)
}

/// What is emitted.
struct Packet {
    event: Name,
    payload: Box<RawValue>,
}

impl Packet {
    fn read(raw: &RawValue) -> Result<Self, PushRefusal> {
        let members = Members::read(raw.get(), ["type", "data", "nsp"])
            .ok_or_else(|| shape("/packet", "the packet must be a map"))?;
        if let Some(key) = members.duplicate {
            return Err(PushRefusal::duplicate_key("/packet", key));
        }
        let [kind, data, namespace] = members.values;
        if kind.is_none_or(|kind| kind.get() != EVENT) {
            let detail = "type must be 2, an event without binary data";
            return Err(PushRefusal::rule("emitter-type", "/packet/type", detail));
        }
        if namespace
            .is_some_and(|namespace| !is_empty(namespace) && json::text(namespace).as_deref() != Some("/"))
        {
            let detail = "turted has no other namespace than /";
            return Err(PushRefusal::rule("emitter-namespace", "/packet/nsp", detail));
        }
        Self::read_data(data)
    }

    fn read_data(data: Option<&RawValue>) -> Result<Self, PushRefusal> {
        let field = "/packet/data";
        let values = data.and_then(|data| values::<3>(data.get()));
        let values = values.ok_or_else(|| shape(field, "data must be an array of event and payload"))?;
        if values.len() > 2 {
            let detail = "an event has one argument, its payload";
            return Err(PushRefusal::rule("emitter-arguments", field, detail));
        }
        let event = read_event(values.first().copied(), "/packet/data/0")?;
        Ok(Self { event, payload: read_payload(values.get(1).copied()) })
    }
}

/// What an emitter sends for no value: nil, an empty text (for Python), an empty array or map.
fn is_empty(raw: &RawValue) -> bool {
    ["null", "\"\"", "[]", "{}"].contains(&raw.get())
}

/// The rooms that the options name. Some emitters for PHP send an empty array for empty options.
fn rooms(options: &RawValue, most: usize) -> Result<Vec<Name>, PushRefusal> {
    if is_empty(options) {
        return Ok(Vec::new());
    }
    let members = Members::read(options.get(), ["rooms", "except"])
        .ok_or_else(|| shape("/options", "the options must be a map"))?;
    if let Some(key) = members.duplicate {
        return Err(PushRefusal::duplicate_key("/options", key));
    }
    let [rooms, except] = members.values;
    if except.is_some_and(|except| !is_empty(except)) {
        let detail = "turted cannot leave out who has joined a room";
        return Err(PushRefusal::rule("emitter-except", "/options/except", detail));
    }
    targets::list("/options/rooms", rooms.filter(|rooms| !is_empty(rooms)), most)
}

/// The room that the name of a Redis channel ends with: `KEY#/#ROOM#`.
fn room_of(channel: &[u8]) -> Result<Option<Name>, PushRefusal> {
    let field = "/channel";
    let not_text =
        || PushRefusal::rule("emitter-channel", field, "the name of the Redis channel is not UTF-8");
    let channel = simdutf8::basic::from_utf8(channel).map_err(|_| not_text())?;
    let room = channel.split_once(NAMESPACE).and_then(|(_, room)| room.strip_suffix('#'));
    room.map(|room| Name::new(room).map_err(|refusal| targets::no_name(refusal, field))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was recorded: the name of the Redis channel, a line feed, and the message.
    macro_rules! recorded {
        ($name:literal) => {{
            let all: &[u8] = include_bytes!(concat!("../../../../fuzz/seeds/emitter/", $name));
            let end = all.iter().position(|byte| *byte == b'\n').unwrap();
            (&all[..end], &all[end + 1..])
        }};
    }

    fn limits() -> EmitterLimits {
        EmitterLimits { push: PushLimits { targets: 3, ..PushLimits::default() }, json_bytes: 2_000 }
    }

    #[track_caller]
    fn check((channel, message): (&[u8], &[u8]), expected: &str) {
        let found = match dispatch(channel, message, limits()) {
            Ok(Dispatch { event, payload, targets }) => {
                let channels: Vec<_> = targets.channels.iter().map(Name::as_str).collect();
                let all = if targets.broadcast { "*" } else { "" };
                assert!(targets.users.is_empty());
                format!("{} {}{all} {payload}", event.as_str(), channels.join(","))
            }
            Err(refusal) => format!("{} {}", refusal.rule, refusal.field.unwrap_or_default()),
        };
        assert_eq!(found.trim_end(), expected);
    }

    #[test]
    fn what_the_emitter_for_node_publishes_is_understood() {
        let everyone = r#"{"id":7,"text":"hällo","none":null,"list":[1.5,-3,true,5000000000]}"#;
        check(recorded!("npm_everyone"), &format!("MESSAGE:NEW * {everyone}"));
        check(recorded!("npm_room"), r#"MESSAGE:NEW chat "hello""#);
        check(recorded!("npm_rooms"), "MESSAGE:NEW chat,news [1,2]");
        check(recorded!("npm_no_payload"), "PING chat {}");
        let dates = r#"["2026-11-28T14:12:32.250Z","2026-11-28T14:12:32.000Z","1969-12-31T23:59:59.999Z"]"#;
        check(recorded!("npm_dates"), &format!("MESSAGE:NEW * {dates}"));
    }

    #[test]
    fn what_emitters_of_other_languages_publish_is_understood() {
        check(recorded!("python_everyone"), r#"MESSAGE:NEW * {"id":7,"text":"hällo","float":1.0}"#);
        // Both rooms are in both messages.
        check(recorded!("python_rooms"), "MESSAGE:NEW news [1,null,true]");
        check(recorded!("python_rooms_2"), "MESSAGE:NEW chat [1,null,true]");
        check(recorded!("php_everyone"), r#"MESSAGE:NEW * {"id":7,"text":"hällo","none":null,"list":[]}"#);
        check(recorded!("php_room"), r#"MESSAGE:NEW chat {"1":"gap","3":"gap"}"#);
        check(recorded!("php_before_1_4"), r#"MESSAGE:NEW chat,7 "hello""#);
    }

    #[test]
    fn what_turted_cannot_deliver_is_refused_by_its_rule() {
        check(recorded!("npm_arguments"), "emitter-arguments /packet/data");
        check(recorded!("npm_except"), "emitter-except /options/except");
        check(recorded!("npm_namespace"), "emitter-namespace /packet/nsp");
        check(recorded!("python_namespace"), "emitter-namespace /packet/nsp");
        check(recorded!("npm_binary"), "emitter-binary");
        check(recorded!("npm_large"), "name-too-long /options/rooms/0");
        check(recorded!("python_socketio"), "emitter-not-msgpack");
        let refused = dispatch(b"socketio", recorded!("python_socketio").1, limits()).unwrap_err();
        assert!(refused.detail.contains("python-socketio"), "{refused}");
    }

    /// `[i, {type, data, nsp: "/"}, options]`.
    fn message(kind: &[u8], data: &[u8], options: &[u8]) -> Vec<u8> {
        [b"\x93\xa1i\x83\xa4type", kind, b"\xa4data", data, b"\xa3nsp\xa1/", options].concat()
    }

    #[test]
    fn each_part_of_a_message_has_its_rule() {
        let channel = b"socket.io#/#".as_slice();
        let event = b"\x91\xa1e".as_slice();
        check((channel, &message(b"\x02", event, b"\x80")), "e * {}");
        check((channel, &message(b"\x05", event, b"\x80")), "emitter-type /packet/type");
        check((channel, &message(b"\xa12", event, b"\x80")), "emitter-type /packet/type");
        let of_data: &[(&[u8], &str)] = &[
            (b"\xa1e", "emitter-shape /packet/data"),
            (b"\x90", "event-missing /packet/data/0"),
            (b"\x91\x01", "event-not-a-string /packet/data/0"),
            (b"\x91\xa0", "name-empty /packet/data/0"),
            (b"\x92\xa1e\xd4\x05\x00", "emitter-extension"),
            (b"\x92\xa1e\x81\xc0\x01", "emitter-key"),
        ];
        for (data, expected) in of_data {
            check((channel, &message(b"\x02", data, b"\x80")), expected);
        }
        let of_options: &[(&[u8], &str)] = &[
            (b"\x01", "emitter-shape /options"),
            (b"\x81\xa5rooms\x91\xa0", "name-empty /options/rooms/0"),
            (b"\x81\xa5rooms\x91\xc3", "name-not-a-string /options/rooms/0"),
            (b"\x81\xa5rooms\x94\x01\x02\x03\x04", "targets-too-many /options/rooms/3"),
            (b"\x82\xa5rooms\x90\xa5rooms\x90", "duplicate-key /options/rooms"),
            (b"\x80\x80", "emitter-not-msgpack"),
        ];
        for (options, expected) in of_options {
            check((channel, &message(b"\x02", event, options)), expected);
        }
        for wrong in [&b"\x01"[..], b"\x91\x80", b"\x94\x80\x80\x80\x80", b"\xa8[{},{}]x"] {
            check((channel, wrong), "emitter-shape");
        }
    }

    #[test]
    fn depth_and_bytes_of_a_message_are_limited() {
        let deep = [vec![0x92, 0xa1, b'e'], vec![0x91; 200], vec![0xc0]].concat();
        check((b"c", &message(b"\x02", &deep, b"\x80")), "emitter-too-deep");
        let large = [&b"\x92\xa1e\xda\x08\x00"[..], &[b'x'; 2_048]].concat();
        check((b"c", &message(b"\x02", &large, b"\x80")), "emitter-too-large");
        let push = PushLimits { expansion_bytes: 13, ..PushLimits::default() };
        let (channel, message) = recorded!("npm_room");
        let refusal = dispatch(channel, message, EmitterLimits { push, ..limits() }).unwrap_err();
        assert_eq!(refusal.rule, "expansion-too-large");
    }

    #[test]
    fn a_room_is_what_the_channel_says_behind_the_namespace() {
        let message = message(b"\x02", b"\x91\xa1e", b"\x81\xa5rooms\x91\xa1r");
        for (channel, expected) in [
            (&b"socket.io#/#"[..], "e r {}"),
            (b"socket.io#/#a#", "e a {}"),
            (b"key#/#a#b#/#c#", "e a#b#/#c {}"),
            (b"other", "e r {}"),
            (b"socket.io#/#a", "e r {}"),
            (b"socket.io#/##", "name-empty /channel"),
            (b"socket.io#/#\xff#", "emitter-channel /channel"),
        ] {
            check((channel, &message), expected);
        }
    }
}
