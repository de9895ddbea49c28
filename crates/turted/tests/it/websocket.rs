//! The WebSocket codec of turted against that of tungstenite: the same messages out of every
//! stream, valid or mutated, and a refusal where the other refuses.
//!
//! Known differences, all by our intention and accounted for in [`ours`] and [`theirs`]:
//! - A length written in more bytes than it needs is refused here (RFC 6455 5.2), taken there.
//! - Close codes that may not be sent are refused here (RFC 6455 7.4); there they are taken, or
//!   turned into a close with code 1002.
//! - A frame that breaks a rule is refused here at its first wrong byte, there when its header is
//!   complete, or its payload has come. So a stream that ends before may be refused here only.
//! - Text is checked here when its message is complete, there with every fragment. So a message that
//!   never ends may be refused there only.
//! - After a close frame nothing is compared: what follows it concerns nobody.

mod codecs;
mod streams;

use proptest::prelude::*;

use self::codecs::{End, Seen, ours, theirs};
use self::streams::{any_frame, valid_stream};

fn compare(bytes: &[u8], chunk: usize) -> Result<(), TestCaseError> {
    let (our_messages, our_end) = ours(bytes.to_vec(), chunk);
    let (whole_messages, whole_end) = ours(bytes.to_vec(), usize::MAX);
    prop_assert_eq!((&our_messages, &our_end), (&whole_messages, &whole_end), "the cut does not matter");
    let (their_messages, their_end) = theirs(bytes.to_vec());
    match (&our_end, &their_end) {
        // Refused earlier: what they still read is theirs.
        (End::Refused { stricter: true }, _) | (End::Refused { .. }, End::Open) => {
            prop_assert!(their_messages.starts_with(&our_messages));
        }
        (_, End::NoText) => {
            prop_assert!(our_messages.starts_with(&their_messages));
            let more = &our_messages[their_messages.len()..];
            prop_assert!(
                !more.iter().any(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_))),
                "{more:?}"
            );
        }
        _ => {
            prop_assert_eq!(&our_messages, &their_messages);
            prop_assert_eq!(&our_end, &their_end);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_streams_are_read_alike(stream in valid_stream(), chunk in 1_usize..64) {
        compare(&stream, chunk)?;
    }

    #[test]
    fn mutated_streams_are_read_alike(
        stream in valid_stream(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
        chunk in 1_usize..64,
    ) {
        let mut stream = stream;
        for (at, byte, how) in mutations {
            if stream.is_empty() {
                break;
            }
            let at = at.index(stream.len());
            match how {
                0 => stream[at] ^= byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
        }
        compare(&stream, chunk)?;
    }

    #[test]
    fn frames_of_any_kind_are_read_alike(frames in prop::collection::vec(any_frame(), 1..6), chunk in 1_usize..64) {
        compare(&frames.concat(), chunk)?;
    }
}
