//! Any bytes as what a Redis server says: refused or decoded, in one piece as in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::wire::resp::{Decoder, Reply, Violation};

fuzz_target!(|input: &[u8]| {
    let Some((piece, input)) = input.split_first() else { return };
    let whole = decode(input, input.len().max(1));
    let pieces = decode(input, usize::from(*piece).max(1));
    assert_eq!(whole, pieces);
});

fn decode(input: &[u8], piece: usize) -> (Vec<Reply>, Result<(), Violation>) {
    let (mut decoder, mut buffer, mut replies) = (Decoder::default(), bytes::BytesMut::new(), Vec::new());
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
