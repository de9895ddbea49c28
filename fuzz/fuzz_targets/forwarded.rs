//! What another node says of a request that it passes on: what is read of any bytes is written in the same way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::wire::forwarded::{PREAMBLE_BYTES, Preamble, SIGNED_BYTES};

fuzz_target!(|data: &[u8]| {
    let Some(bytes) = data.first_chunk::<PREAMBLE_BYTES>() else { return };
    if let Ok(preamble) = Preamble::decode(bytes) {
        assert_eq!(preamble.encode()[..], bytes[..SIGNED_BYTES]);
    }
});
