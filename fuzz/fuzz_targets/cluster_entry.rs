//! An entry of the log of a cluster: what is read is written as the same bytes, within the limits of a push.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::cluster::entry::{Body, decode};
use turted_core::cluster::head::{MARK, Read, VERSION};
use turted_core::dispatch::Dispatch;
use turted_core::push::PushLimits;

fuzz_target!(|data: &[u8]| {
    let limits = PushLimits::default();
    match decode(data, limits) {
        Read::Ours(entry) => {
            let written = entry.encode();
            // White space around a payload is not part of it.
            assert!(written == data || written.len() < data.len());
            assert_eq!(decode(&written, limits), Read::Ours(entry.clone()));
            let Body::Dispatch { dispatch, .. } = entry.body else { return };
            let targets = dispatch.targets.users.len() + dispatch.targets.channels.len();
            assert!(targets <= limits.targets);
            assert!(Dispatch::expansion_of(&[dispatch]) <= limits.expansion_bytes);
        }
        Read::Later(version) => assert!(data.starts_with(&MARK) && version > VERSION),
        Read::Foreign => {}
    }
});
