//! What is kept beside the key of a push, by which it is known when it comes again. The engine keeps the position of its
//! first dispatch in front.

use super::head::{self, Read};
use crate::record::push::{AnswerForm, put_reached, reached};

/// What is known of a push with a key.
///
/// ```
/// use turted_core::cluster::head::Read;
/// use turted_core::cluster::key::{KnownPush, decode};
/// use turted_core::record::push::AnswerForm;
/// let push = KnownPush { body: [7; 32], answer: AnswerForm::Single, count: 1, delivered: Some(vec![12]) };
/// assert_eq!(decode(&push.encode()), Read::Ours(push));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPush {
    /// SHA-256 of its body.
    pub body: [u8; 32],
    /// How it was answered.
    pub answer: AnswerForm,
    /// How many dispatches it had.
    pub count: u32,
    /// How many connections each of them reached, if that is known.
    pub delivered: Option<Vec<u64>>,
}

impl KnownPush {
    /// The bytes of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head::begin(64);
        bytes.extend_from_slice(&self.body);
        bytes.push(self.answer as u8);
        put_reached(&mut bytes, self.count, self.delivered.as_deref());
        bytes
    }
}

/// Reads the same. There is a count for each dispatch, or none.
#[must_use]
pub fn decode(bytes: &[u8]) -> Read<KnownPush> {
    head::read(bytes, |fields| {
        let (body, answer) = (fields.array()?, AnswerForm::read(fields)?);
        let (count, delivered) = reached(fields)?;
        Ok(KnownPush { body, answer, count, delivered })
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn push() -> impl Strategy<Value = KnownPush> {
        let answer = prop::sample::select(vec![AnswerForm::Plain, AnswerForm::Single, AnswerForm::Batch]);
        let reached = prop_oneof![
            any::<u32>().prop_map(|count| (count, None)),
            vec(any::<u64>(), 0..5).prop_map(|counts| (counts.len().try_into().unwrap(), Some(counts))),
        ];
        (any::<[u8; 32]>(), answer, reached).prop_map(|(body, answer, (count, delivered))| KnownPush {
            body,
            answer,
            count,
            delivered,
        })
    }

    proptest! {
        #[test]
        fn a_push_is_read_as_it_was_written_and_not_if_it_is_cut(push in push(), cut: prop::sample::Index) {
            let bytes = push.encode();
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Read::Foreign);
            prop_assert_eq!(decode(&bytes), Read::Ours(push));
        }

        #[test]
        fn what_is_read_from_any_bytes_is_written_as_the_same_bytes(body: [u8; 32], rest in vec(0..3_u8, 0..40)) {
            let mut bytes = head::begin(0);
            bytes.extend(body);
            bytes.extend(rest);
            if let Read::Ours(push) = decode(&bytes) {
                prop_assert_eq!(push.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_push_has_a_count_for_each_dispatch_or_none() {
        let push = KnownPush { body: [0; 32], answer: AnswerForm::Batch, count: 2, delivered: Some(vec![1]) };
        assert_eq!(decode(&push.encode()), Read::Foreign);
    }
}
