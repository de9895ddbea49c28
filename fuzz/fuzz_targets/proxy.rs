//! The PROXY protocol: a verdict never changes when more bytes come. A header is bounded and lies within the
//! input. Input that is not complete is short.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::wire::proxy::{V1_BYTES_MAX, V2_BYTES_MAX, decode};

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(V2_BYTES_MAX + 64)];
    let mut verdict = Ok(None);
    for cut in 0..=data.len() {
        let next = decode(&data[..cut]);
        if verdict != Ok(None) {
            assert_eq!(next, verdict);
        }
        verdict = next;
        let longest = if data.starts_with(b"PROXY") { V1_BYTES_MAX } else { V2_BYTES_MAX };
        match verdict {
            Ok(Some(header)) => assert!(header.bytes <= cut.min(longest)),
            Ok(None) => assert!(cut < longest),
            Err(_) => {}
        }
    }
});
