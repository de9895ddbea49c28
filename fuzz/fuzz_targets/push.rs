//! Any bytes as a push body: they are refused, or become dispatches that keep the limits and the payload's
//! bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::dispatch::Dispatch;
use turted_core::limits::{BATCH_DISPATCHES_MAX, TARGETS_MAX};
use turted_core::push::{self, PushRefusal, RefusalKind};

fuzz_target!(|body: &[u8]| {
    match push::parse(body, push::PushLimits::default()) {
        Err(refusal) => {
            assert_ne!(refusal.kind, RefusalKind::Invalid, "a field was checked before the credentials");
            check_refusal(&refusal);
        }
        Ok(parsed) => {
            assert!(
                parsed.credentials().next().is_some(),
                "a body without credentials would pass as correct"
            );
            check_dispatches(body, parsed.into_dispatches());
        }
    }
});

fn check_dispatches(body: &[u8], dispatches: Result<Vec<Dispatch>, PushRefusal>) {
    match dispatches {
        Err(refusal) => {
            assert!(matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::TooLarge));
            check_refusal(&refusal);
        }
        Ok(dispatches) => {
            assert!((1..=BATCH_DISPATCHES_MAX).contains(&dispatches.len()));
            let text = std::str::from_utf8(body).expect("invalid UTF-8 is refused");
            dispatches.iter().for_each(|dispatch| check_dispatch(text, dispatch));
        }
    }
}

fn check_dispatch(body: &str, dispatch: &Dispatch) {
    let payload = dispatch.payload.get();
    assert!(payload == "{}" || body.contains(payload), "the payload is not as it was pushed");
    let targets = &dispatch.targets;
    assert!(targets.users.len() + targets.channels.len() <= TARGETS_MAX);
    for mut names in [targets.users.clone(), targets.channels.clone()] {
        let listed = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), listed, "a name is listed twice");
    }
}

/// Refusals go into answers and logs: each is one short line.
fn check_refusal(refusal: &PushRefusal) {
    let text = refusal.to_string();
    assert!(text.len() < 256, "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}
