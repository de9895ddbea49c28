//! Streams of frames as clients may send them, or nearly.

use proptest::prelude::*;

/// One frame as a client may send it, or nearly.
pub(crate) fn frame(first: u8, payload: &[u8], mask: [u8; 4], masked: bool) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => bytes.push(mask_bit | u8::try_from(length).unwrap()),
        length => {
            bytes.push(mask_bit | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    if masked {
        bytes.extend(mask);
    }
    let mask = if masked { mask } else { [0; 4] };
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A message cut into fragments, with a ping between them perhaps.
pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![4 => ".{0,60}", 1 => "x{100,700}"].prop_map(|text| (0x1, text.into_bytes()));
    let binary = prop::collection::vec(any::<u8>(), 0..300).prop_map(|data| (0x2, data));
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    (prop_oneof![text, binary], cuts, any::<[u8; 4]>(), any::<bool>()).prop_map(
        |((opcode, payload), cuts, mask, ping)| {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(payload.len());
            let (mut bytes, mut from) = (Vec::new(), 0);
            for (nth, to) in cuts.iter().enumerate() {
                let opcode = if nth == 0 { opcode } else { 0 };
                let fin = if nth + 1 == cuts.len() { 0x80 } else { 0 };
                bytes.extend(frame(fin | opcode, &payload[from..*to], mask, true));
                if ping && fin == 0 {
                    bytes.extend(frame(0x89, b"ping", mask, true));
                }
                from = *to;
            }
            bytes
        },
    )
}

pub(crate) fn control() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(any::<u8>(), 0..126);
    (prop_oneof![Just(0x89_u8), Just(0x8A)], data, any::<[u8; 4]>())
        .prop_map(|(first, data, mask)| frame(first, &data, mask, true))
}

pub(crate) fn close() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![Just(1000_u16), Just(1001), 3000_u16..5000, any::<u16>()], "[a-z]{0,20}", any::<[u8; 4]>())
        .prop_map(|(code, reason, mask)| {
            frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat(), mask, true)
        })
}

/// A frame of any kind.
pub(crate) fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop::collection::vec(any::<u8>(), 0..140), any::<[u8; 4]>(), prop::bool::weighted(0.9))
        .prop_map(|(first, payload, mask, masked)| frame(first, &payload, mask, masked))
}

pub(crate) fn valid_stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![6 => message(), 2 => control()];
    (prop::collection::vec(part, 0..8), prop::option::of(close())).prop_map(|(parts, close)| {
        let mut bytes = parts.concat();
        bytes.extend(close.unwrap_or_default());
        bytes
    })
}
