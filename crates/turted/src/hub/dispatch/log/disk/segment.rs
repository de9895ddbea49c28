//! One push file while it is written: it grows by whole writes, and takes back what was written in part.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::Duration;

use turted_core::record::frame;
use turted_core::record::push::{Begin, Record};

use super::directory::{Directory, PushFile};

/// A push file that is finished, or was written by a former life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) file: PushFile,
    /// The number behind its last dispatch.
    pub(super) next: u64,
    /// The uptime of its latest key, or of what such a key reached.
    pub(super) latest_key: Option<Duration>,
    /// The uptime before which its keys need not be looked at: most of the file are keys that still count.
    pub(super) rests_until: Duration,
}

/// The push file that is written.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) name: PushFile,
    pub(super) latest_key: Option<Duration>,
    file: File,
    bytes: u64,
    synced_bytes: u64,
    /// What a sync is asked of, if it is another file.
    #[cfg(test)]
    syncs: Option<File>,
}

impl OpenSegment {
    /// Makes the file, with its first record, for good: after a loss of power it is there.
    pub(super) fn create(directory: &Directory, name: PushFile, first: u64) -> io::Result<Self> {
        let options = &mut OpenOptions::new();
        let options = options.create_new(true).write(true).mode(0o600);
        let file = options.open(directory.push_path(name))?;
        let mut segment = Self {
            name,
            latest_key: None,
            file,
            bytes: 0,
            synced_bytes: 0,
            #[cfg(test)]
            syncs: None,
        };
        let begun = segment.begin(first).and_then(|()| directory.sync());
        if begun.is_err() {
            // Its name is that of one attempt alone, so one that stays is no harm.
            let _stays = directory.remove(name);
        }
        begun.map(|()| segment)
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        let PushFile { epoch, place } = self.name;
        self.append(&framed(Record::Begin(Begin { epoch, place, first })))?;
        self.sync()
    }

    /// From now on the disk takes no more, and does not even take back what it took.
    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    }

    /// From now on no sync succeeds.
    #[cfg(test)]
    pub(super) fn fail_syncs(&mut self) {
        self.syncs = Some(File::open("/dev/null").unwrap());
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes all of these bytes behind the others, or none.
    ///
    /// # Errors
    /// The disk takes no more. If it does not even take back what it took, the error says so, and nothing more may be
    /// written.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        if let Err(error) = self.file.write_all_at(bytes, self.bytes) {
            // Without the cut the next write would go over a half record that a start takes for a whole one's end.
            return Err(match self.file.set_len(self.bytes) {
                Ok(()) => AppendError::Refused(error),
                Err(_) => AppendError::Broken(error),
            });
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was written survive a loss of power.
    ///
    /// # Errors
    /// The disk fails. What was not synced may be gone, whatever a later sync says: the kernel reports it once.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.bytes > self.synced_bytes {
            self.synced_file().sync_data()?;
            self.synced_bytes = self.bytes;
        }
        Ok(())
    }

    /// Takes back what was not synced.
    ///
    /// # Errors
    /// The disk does not even take that.
    pub(super) fn cut_unsynced(&mut self) -> io::Result<()> {
        self.file.set_len(self.synced_bytes)?;
        self.bytes = self.synced_bytes;
        Ok(())
    }

    fn synced_file(&self) -> &File {
        #[cfg(test)]
        if let Some(file) = &self.syncs {
            return file;
        }
        &self.file
    }

    /// The same, finished.
    pub(super) fn finished(&self, next: u64) -> Segment {
        Segment { file: self.name, next, latest_key: self.latest_key, rests_until: Duration::ZERO }
    }
}

/// Why bytes were not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// The file is as it was.
    Refused(io::Error),
    /// The file has a part of them.
    Broken(io::Error),
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Refused(error) | AppendError::Broken(error) => error,
        }
    }
}

/// A small record as it stands in a file.
pub(super) fn framed(record: Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::append(&mut bytes, |body| record.encode(body)).expect("a small record");
    bytes
}
