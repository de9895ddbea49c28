//! What of a push file outlives it: keys that still count, and what their pushes reached.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use turted_core::epochs::Epochs;
use turted_core::record::frame;
use turted_core::record::push::{Delivered, KeyRecord, ReadDelivered, ReadRecord, Record};

use super::frames::FileFrames;

/// Records to be written again.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) bytes: Vec<u8>,
    /// The uptime of the latest one.
    pub(super) latest: Option<Duration>,
}

impl Carried {
    /// Those of a file for whose uptime `is_young` holds.
    ///
    /// # Errors
    /// The file cannot be read, or is not what was written. Then it must stay.
    pub(super) fn of(path: &Path, epochs: &Epochs, is_young: impl Fn(Duration) -> bool) -> io::Result<Self> {
        // A key that is written again is found later than what its push reached: so both go along.
        let mut delivered = delivered(path)?;
        let mut carried = Self::default();
        each(path, |record| {
            let (key, first, count, uptime) = match record {
                ReadRecord::Push(push) if push.key.is_some() && is_young(push.uptime) => {
                    (push.key.expect("seen above"), epochs.cursor(push.first), push.count, push.uptime)
                }
                ReadRecord::Key(key) if is_young(key.uptime) => {
                    return carried.put(Record::Key(key.as_written()), key.uptime);
                }
                _ => return,
            };
            let counts = delivered.remove(&first.sequence).map(|delivered| delivered.counts);
            let fits = counts.as_deref().filter(|counts| counts.len() == count as usize);
            carried.put(Record::Key(KeyRecord { key, first, count, uptime, delivered: fits }), uptime);
        })?;
        for ReadDelivered { first, uptime, counts } in
            delivered.into_values().filter(|it| is_young(it.uptime))
        {
            carried.put(Record::Delivered(Delivered { first, uptime, counts: &counts }), uptime);
        }
        Ok(carried)
    }

    fn put(&mut self, record: Record<'_>, uptime: Duration) {
        frame::append(&mut self.bytes, |body| record.encode(body)).expect("it was a record before");
        self.latest = self.latest.max(Some(uptime));
    }
}

fn delivered(path: &Path) -> io::Result<BTreeMap<u64, ReadDelivered>> {
    let mut delivered = BTreeMap::new();
    each(path, |record| {
        if let ReadRecord::Delivered(record) = record {
            delivered.insert(record.first, record);
        }
    })?;
    Ok(delivered)
}

fn each(path: &Path, mut visit: impl FnMut(ReadRecord<'_>)) -> io::Result<()> {
    let mut frames = FileFrames::open(path)?;
    while let Some(body) = frames.next()? {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a push file is damaged");
        let record = body.ok().and_then(|body| ReadRecord::decode(body).ok());
        visit(record.ok_or_else(damaged)?);
    }
    Ok(())
}
