//! AMQP: frames lie within the input, a cut frame is waited for, and nothing that a broker or a publisher writes into one
//! makes a decoder panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::wire::amqp::{ContentHeader, FRAME_BYTES_MAX, Frame, FrameKind, Method};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((frame, bytes))) = Frame::decode(rest, FRAME_BYTES_MAX) {
        assert!(bytes <= rest.len() && bytes <= FRAME_BYTES_MAX);
        assert_eq!(Frame::decode(&rest[..bytes - 1], FRAME_BYTES_MAX), Ok(None));
        match frame.kind {
            FrameKind::Method => drop(Method::decode(frame.payload)),
            FrameKind::Header => read(frame.payload),
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
        rest = &rest[bytes..];
    }
    let _ = Method::decode(data);
    read(data);
});

fn read(payload: &[u8]) {
    let Ok(header) = ContentHeader::decode(payload) else { return };
    let Ok(mut properties) = header.properties() else { return };
    let mut bytes = 0;
    while let Ok(Some(field)) = properties.headers.next_field() {
        bytes += field.name.len() + 2;
    }
    assert!(bytes <= payload.len());
}
