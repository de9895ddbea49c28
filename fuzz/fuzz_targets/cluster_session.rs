//! What a cluster keeps of a session, and beside the key of a push: what is read is written as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::cluster::{key, session};

fuzz_target!(|data: &[u8]| {
    if let Some(session) = session::decode(data).ours() {
        assert_eq!(session.encode(), data);
    }
    if let Some(push) = key::decode(data).ours() {
        assert_eq!(push.encode(), data);
    }
});
