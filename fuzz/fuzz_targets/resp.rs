//! Any bytes as what a Redis server says: refused or decoded, in one piece as in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::wire::resp::{Bounds, Decoder, Reply, Violation};

const BOUNDS: Bounds = Bounds { string_bytes: 8, array_values: 4, reply_bytes: 64 };

fuzz_target!(|input: &[u8]| {
    let Some((piece, input)) = input.split_first() else { return };
    for decoder in [Decoder::default, || Decoder::bounded(BOUNDS)] {
        let whole = decode(decoder(), input, input.len().max(1));
        let pieces = decode(decoder(), input, usize::from(*piece).max(1));
        assert_eq!(whole, pieces);
    }
});

fn decode(mut decoder: Decoder, input: &[u8], piece: usize) -> (Vec<Reply>, Result<(), Violation>) {
    let (mut buffer, mut replies) = (bytes::BytesMut::new(), Vec::new());
    for piece in input.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(violation) => return (replies, Err(violation)),
            }
        }
    }
    (replies, Ok(()))
}
