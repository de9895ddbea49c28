//! What is kept beside the key of a push, by which it is known when it comes again. The engine keeps the position of its
//! first dispatch in front.

use super::head::{self, Read};

/// What is known of a push with a key. How many connections it reached is not: the key is stored when the push is appended,
/// and counted later.
///
/// ```
/// use turted_core::cluster::head::Read;
/// use turted_core::cluster::key::{KnownPush, decode};
/// let push = KnownPush { body: [7; 32] };
/// assert_eq!(decode(&push.encode()), Read::Ours(push));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPush {
    /// SHA-256 of its body.
    pub body: [u8; 32],
}

impl KnownPush {
    /// The bytes of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head::begin(self.body.len());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Reads the same.
#[must_use]
pub fn decode(bytes: &[u8]) -> Read<KnownPush> {
    head::read(bytes, |fields| Ok(KnownPush { body: fields.array()? }))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_push_is_read_as_it_was_written_and_not_if_it_is_cut(body: [u8; 32], cut: prop::sample::Index) {
            let push = KnownPush { body };
            let bytes = push.encode();
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Read::Foreign);
            prop_assert_eq!(decode(&bytes), Read::Ours(push));
        }

        #[test]
        fn what_is_read_from_any_bytes_is_written_as_the_same_bytes(body in vec(any::<u8>(), 30..34)) {
            let mut bytes = head::begin(0);
            bytes.extend(body);
            if let Read::Ours(push) = decode(&bytes) {
                prop_assert_eq!(push.encode(), bytes);
            }
        }
    }
}
