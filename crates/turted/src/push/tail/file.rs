//! One file: whether it is still the same, and its bytes.
//!
//! A file is known by its device, its inode and its first bytes, because an inode is used again soon after its file is
//! gone. Bytes that were read count only if the file still begins as before when they are there: otherwise it was
//! truncated in between, and they may be the middle of another line.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// First bytes of a file by which it is known. Two logs that begin alike for so long are copies.
pub(super) const HEAD_BYTES: usize = 1024;
/// Bytes that are read at once.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// By what a file is known while its content is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) number: u64,
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    pub(super) inode: Inode,
    /// Its first bytes, as far as they are there: at most [`HEAD_BYTES`].
    pub(super) head: Vec<u8>,
}

/// What a look at a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It begins as before, and has so many bytes.
    Same(u64),
    /// It has another content.
    Replaced,
}

impl OpenFile {
    /// Opens a regular file; `None` for anything else. A pipe without a writer must not keep the source.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
        if !path.metadata()?.is_file() {
            return Ok(None);
        }
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        let inode = Inode { device: metadata.dev(), number: metadata.ino() };
        let mut open = Self { file, inode, head: Vec::new() };
        if !metadata.is_file() {
            return Ok(None);
        }
        open.head = open.read_at(0, HEAD_BYTES)?;
        Ok(Some(open))
    }

    /// Looks whether the file still begins as before and has at least `least` bytes. Remembers more of its head if there
    /// is more.
    pub(super) fn look(&mut self, least: u64) -> io::Result<Seen> {
        let head = self.read_at(0, HEAD_BYTES)?;
        let bytes = self.bytes()?;
        if !head.starts_with(&self.head) || bytes < least {
            return Ok(Seen::Replaced);
        }
        self.head = head;
        Ok(Seen::Same(bytes))
    }

    /// Takes the content that is there for the one that it had.
    pub(super) fn accept_content(&mut self) -> io::Result<()> {
        self.head = self.read_at(0, HEAD_BYTES)?;
        Ok(())
    }

    /// At most so many bytes from `offset` on.
    pub(super) fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        let mut length = 0;
        while length < bytes {
            match self.file.read_at(&mut read[length..], offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        read.truncate(length);
        Ok(read)
    }

    pub(super) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
