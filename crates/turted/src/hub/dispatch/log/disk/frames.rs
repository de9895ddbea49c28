//! The frames of a file, one at a time.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use turted_core::record::frame::{Fault, HEAD_BYTES, Head};

/// What a file is read in.
const BUFFER_BYTES: usize = 64 * 1024;

/// The frames of a file that nobody writes to meanwhile.
#[derive(Debug)]
pub(crate) struct FileFrames {
    file: BufReader<File>,
    bytes: u64,
    at: u64,
    has_fault: bool,
    body: Vec<u8>,
}

impl FileFrames {
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { file, bytes, at: 0, has_fault: false, body: Vec::new() })
    }

    /// The next body, `None` at the end of the file. A fault is the last item.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<&[u8], Fault>>> {
        if self.has_fault || self.at == self.bytes {
            return Ok(None);
        }
        let read = self.read()?;
        self.has_fault = read.is_err();
        Ok(Some(read.map(|()| &self.body[..])))
    }

    /// Bytes up to the end of the last frame that was whole: where a torn file is cut.
    pub(crate) fn whole_bytes(&self) -> u64 {
        self.at
    }

    fn read(&mut self) -> io::Result<Result<(), Fault>> {
        let mut head = [0; HEAD_BYTES];
        let left = self.bytes - self.at;
        let has = usize::try_from(left).map_or(HEAD_BYTES, |left| left.min(HEAD_BYTES));
        self.file.read_exact(&mut head[..has])?;
        let head = match Head::read(&head[..has]) {
            Ok(head) => head,
            Err(fault) => return Ok(Err(fault)),
        };
        let frame_bytes = (HEAD_BYTES + head.body_bytes()) as u64;
        if frame_bytes > left {
            return Ok(Err(Fault::Torn));
        }
        // The file has so many bytes, so this is no allocation for a length that somebody claims.
        self.body.resize(head.body_bytes(), 0);
        self.file.read_exact(&mut self.body)?;
        if let Err(damage) = head.check(&self.body) {
            return Ok(Err(Fault::Damaged(damage)));
        }
        self.at += frame_bytes;
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use turted_core::record::frame::{self, Frames};

    use super::*;

    /// Reads a file both ways.
    fn check(bytes: &[u8]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (mut whole, mut frames) = (Frames::of(bytes), FileFrames::open(file.path()).unwrap());
        while let Some(expected) = whole.next() {
            assert_eq!(frames.next().unwrap(), Some(expected));
            assert_eq!(frames.whole_bytes(), whole.whole_bytes() as u64);
        }
        assert_eq!(frames.next().unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_file_has_the_frames_that_its_bytes_have(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..5),
            cut: prop::sample::Index,
            flip in prop::option::of((any::<prop::sample::Index>(), 1_u8..)),
        ) {
            let mut bytes = Vec::new();
            bodies.iter().for_each(|body| frame::append(&mut bytes, |out| out.extend_from_slice(body)).unwrap());
            check(&bytes);
            if bytes.is_empty() {
                return Ok(());
            }
            check(&bytes[..cut.index(bytes.len())]);
            if let Some((at, with)) = flip {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
                check(&bytes);
            }
        }
    }
}
