//! Any bytes as what an emitter of Socket.IO publishes, behind the name of its Redis channel and a line feed: they are
//! refused by a short line, or become a dispatch that keeps the limits and whose payload is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use turted_core::dispatch::Dispatch;
use turted_core::push::PushLimits;
use turted_core::push::emitter::{self, EmitterLimits};

const LIMITS: EmitterLimits = EmitterLimits {
    push: PushLimits { targets: 4, dispatches: 1, expansion_bytes: 4_000 },
    json_bytes: 2_000,
};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (channel, message) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    match emitter::dispatch(channel, message, LIMITS) {
        Ok(dispatch) => check_dispatch(&dispatch),
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(text.len() < 256 && !text.contains(char::is_control), "{text:?}");
        }
    }
});

fn check_dispatch(dispatch: &Dispatch) {
    let payload = dispatch.payload.get();
    assert!(payload.len() <= LIMITS.json_bytes);
    serde_json::from_str::<Value>(payload).expect("the payload is JSON, and no deeper than serde_json takes it");
    let targets = &dispatch.targets;
    assert!(targets.users.is_empty(), "a room is no user");
    assert_eq!(targets.broadcast, targets.channels.is_empty());
    assert!(targets.channels.len() <= LIMITS.push.targets);
    assert!(dispatch.expansion_bytes() <= LIMITS.push.expansion_bytes);
}
