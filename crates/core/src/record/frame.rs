//! Frames: how records stand in a file, and what is wrong where one does not.
//!
//! ```text
//! length u32 | crc32 of the length u32 | crc32 of the body u32 | body
//! ```
//!
//! Numbers are little endian. A body is never empty, so zeros, which a file system may leave behind after a crash,
//! are no frame. The length has a checksum of its own: a flipped length must not look like a file that ends early,
//! because what ends early is cut and its numbers are given out again.

use std::fmt;

/// Bytes in front of each body.
pub const HEAD_BYTES: usize = 12;

/// Bytes of one body. A push is 1 MiB by default; this is the most that a file can be made to claim. A reader allocates
/// no more than the file has.
pub const BODY_BYTES_MAX: usize = 1 << 30;

/// The record is longer than [`BODY_BYTES_MAX`] and cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record has at most {BODY_BYTES_MAX} bytes")]
pub struct TooLong;

/// Appends the frame whose body `write` appends.
///
/// ```
/// use turted_core::record::frame::{self, Frames};
/// let mut file = Vec::new();
/// frame::append(&mut file, |body| body.extend_from_slice(b"one")).unwrap();
/// assert_eq!(Frames::of(&file).collect::<Vec<_>>(), [Ok(&b"one"[..])]);
/// ```
///
/// # Errors
/// The body is too long; `file` is as it was.
///
/// # Panics
/// `write` appends nothing, or takes away what stood in `file`.
pub fn append(file: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLong> {
    let start = file.len();
    file.extend_from_slice(&[0; HEAD_BYTES]);
    write(file);
    let (head, body) = file[start..].split_at(HEAD_BYTES);
    debug_assert_eq!(head, [0; HEAD_BYTES]);
    assert!(!body.is_empty(), "a record has at least its kind");
    if body.len() > BODY_BYTES_MAX {
        file.truncate(start);
        return Err(TooLong);
    }
    let length = u32::try_from(body.len()).expect("bounded above").to_le_bytes();
    let sums = [crc32fast::hash(&length), crc32fast::hash(body)];
    file[start..start + 4].copy_from_slice(&length);
    file[start + 4..start + 8].copy_from_slice(&sums[0].to_le_bytes());
    file[start + 8..start + HEAD_BYTES].copy_from_slice(&sums[1].to_le_bytes());
    Ok(())
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file ends inside the frame, as after a kill. Cut there, it is whole.
    Torn,
    /// The bytes are not those that were written.
    Damaged(Damage),
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The length does not have its checksum. Zeros are such a length.
    Length,
    /// The length is 0 or above [`BODY_BYTES_MAX`].
    Bound,
    /// The body does not have its checksum.
    Body,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Length => "the length of a record is wrong",
            Self::Bound => "a record is empty or too long",
            Self::Body => "the checksum of a record is wrong",
        })
    }
}

/// What stands in front of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    length: u32,
    body: u32,
}

impl Head {
    /// Reads a head; the first eight bytes are enough to find damage.
    ///
    /// # Errors
    /// The bytes end early, or the length is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Fault::Torn)?;
        let (sum, rest) = rest.split_first_chunk::<4>().ok_or(Fault::Torn)?;
        if crc32fast::hash(length) != u32::from_le_bytes(*sum) {
            return Err(Fault::Damaged(Damage::Length));
        }
        let length = u32::from_le_bytes(*length);
        if length == 0 || length as usize > BODY_BYTES_MAX {
            return Err(Fault::Damaged(Damage::Bound));
        }
        let (body, _) = rest.split_first_chunk::<4>().ok_or(Fault::Torn)?;
        Ok(Self { length, body: u32::from_le_bytes(*body) })
    }

    /// Bytes of the body, at most [`BODY_BYTES_MAX`]. The file may have fewer.
    #[must_use]
    pub fn body_bytes(self) -> usize {
        self.length as usize
    }

    /// Whether `body` is the one that was written.
    ///
    /// # Errors
    /// It is not.
    pub fn check(self, body: &[u8]) -> Result<(), Damage> {
        let is_whole = body.len() == self.body_bytes() && crc32fast::hash(body) == self.body;
        if is_whole { Ok(()) } else { Err(Damage::Body) }
    }
}

/// The bodies of a file that is in memory, in their order. The first fault is the last item.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    has_fault: bool,
}

impl<'a> Frames<'a> {
    /// Those of `bytes`.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, has_fault: false }
    }

    /// Bytes up to the end of the last frame that was whole: where a torn file is cut.
    #[must_use]
    pub fn whole_bytes(&self) -> usize {
        self.at
    }

    fn read(&self) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let head = Head::read(rest)?;
        let body = rest[HEAD_BYTES..].get(..head.body_bytes()).ok_or(Fault::Torn)?;
        head.check(body).map_err(Fault::Damaged)?;
        Ok(body)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_fault || self.at == self.bytes.len() {
            return None;
        }
        let read = self.read();
        match read {
            Ok(body) => self.at += HEAD_BYTES + body.len(),
            Err(_) => self.has_fault = true,
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut file = Vec::new();
        for body in bodies {
            append(&mut file, |out| out.extend_from_slice(body)).unwrap();
        }
        file
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6)
    }

    /// The bodies up to the first fault, and the fault.
    fn read(file: &[u8]) -> (Vec<Vec<u8>>, Option<Fault>) {
        let (mut bodies, mut fault) = (Vec::new(), None);
        for frame in Frames::of(file) {
            match frame {
                Ok(body) => bodies.push(body.to_vec()),
                Err(error) => fault = Some(error),
            }
        }
        (bodies, fault)
    }

    #[test]
    fn zeros_are_damage_and_no_end_of_a_file() {
        let mut file = file(&[b"one".to_vec()]);
        file.extend_from_slice(&[0; 4_096]);
        assert_eq!(read(&file), (vec![b"one".to_vec()], Some(Fault::Damaged(Damage::Length))));
    }

    #[test]
    fn a_length_of_zero_or_above_the_bound_is_refused_before_the_body_is_looked_at() {
        for length in [0, (BODY_BYTES_MAX + 1) as u32, u32::MAX] {
            let length = length.to_le_bytes();
            let head = [length, crc32fast::hash(&length).to_le_bytes()].concat();
            assert_eq!(read(&head), (vec![], Some(Fault::Damaged(Damage::Bound))));
        }
    }

    #[test]
    fn a_file_that_claims_the_longest_body_and_has_none_is_torn() {
        let length = (BODY_BYTES_MAX as u32).to_le_bytes();
        let head = [length, crc32fast::hash(&length).to_le_bytes(), [0; 4]].concat();
        assert_eq!(read(&head), (vec![], Some(Fault::Torn)));
    }

    proptest! {
        #[test]
        fn what_was_appended_is_read(bodies in bodies()) {
            prop_assert_eq!(read(&file(&bodies)), (bodies, None));
        }

        #[test]
        fn a_file_that_is_cut_yields_the_frames_in_front_and_is_torn(bodies in bodies(), cut: prop::sample::Index) {
            let file = file(&bodies);
            let cut = cut.index(file.len());
            let (whole, fault) = read(&file[..cut]);
            prop_assert_eq!(&whole[..], &bodies[..whole.len()]);
            let mut frames = Frames::of(&file[..cut]);
            while let Some(Ok(_)) = frames.next() {}
            prop_assert_eq!(fault, (frames.whole_bytes() < cut).then_some(Fault::Torn));
        }

        /// A flipped byte never looks as if the file ended early: it would be cut, and its numbers used again.
        #[test]
        fn a_byte_that_is_flipped_is_damage(bodies in bodies(), at: prop::sample::Index, with in 1_u8..) {
            let mut file = file(&bodies);
            let at = at.index(file.len());
            file[at] ^= with;
            let (whole, fault) = read(&file);
            prop_assert_eq!(&whole[..], &bodies[..whole.len()]);
            prop_assert!(matches!(fault, Some(Fault::Damaged(_))), "{:?}", fault);
        }

        #[test]
        fn whatever_stands_in_a_file_is_frames_and_at_most_one_fault(bytes: Vec<u8>) {
            let faults = Frames::of(&bytes).filter(Result::is_err).count();
            prop_assert!(faults <= 1);
        }
    }
}
