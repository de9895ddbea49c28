//! A file of the log: its frames lie within it, and whatever stands in them is a record or refused. What is a record is
//! written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::record::frame::{self, Frames, HEAD_BYTES};
use turted_core::record::history::{HistoryHead, WrittenChannel};
use turted_core::record::push::{Delivered, PushRecord, ReadRecord, Record};

fuzz_target!(|data: &[u8]| {
    let mut frames = Frames::of(data);
    let mut at = 0;
    while let Some(Ok(body)) = frames.next() {
        at += HEAD_BYTES + body.len();
        assert_eq!(frames.whole_bytes(), at);
        read(body);
    }
    assert!(at <= data.len());
    // Checksums that fit are rare by chance: so the bytes are a record as well.
    if !data.is_empty() {
        read(data);
        let mut file = Vec::new();
        frame::append(&mut file, |body| body.extend_from_slice(data)).unwrap();
        assert_eq!(Frames::of(&file).collect::<Vec<_>>(), [Ok(data)]);
    }
});

fn read(body: &[u8]) {
    let mut written = Vec::new();
    if let Ok(head) = HistoryHead::decode(body) {
        head.encode(&mut written);
        assert_eq!(written, body);
        written.clear();
    }
    if let Ok(channel) = WrittenChannel::decode(body) {
        channel.encode(&mut written);
        assert_eq!(written, body);
    }
    let Ok(record) = ReadRecord::decode(body) else { return };
    let mut written = Vec::new();
    match &record {
        ReadRecord::Begin(begin) => Record::Begin(*begin).encode(&mut written),
        ReadRecord::Key(key) => Record::Key(key.as_written()).encode(&mut written),
        ReadRecord::Delivered(read) => {
            let (first, uptime, counts) = (read.first, read.uptime, &read.counts[..]);
            Record::Delivered(Delivered { first, uptime, counts }).encode(&mut written);
        }
        ReadRecord::Next(next) => Record::Next(*next).encode(&mut written),
        ReadRecord::Push(push) => {
            let Ok(dispatches) = push.dispatches() else { return };
            let (first, uptime, synced, key) = (push.first, push.uptime, push.synced, push.key);
            assert_eq!(dispatches.len(), push.count as usize);
            Record::Push(PushRecord { first, uptime, synced, key, dispatches: &dispatches }).encode(&mut written);
            // White space around a payload is not part of it.
            if written.len() != body.len() {
                return;
            }
        }
    }
    assert_eq!(written, body);
}
