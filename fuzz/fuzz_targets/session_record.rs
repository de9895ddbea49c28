//! Any bytes as a file of sessions: what is read is written as the same bytes, and what sessions are after it can be
//! written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::record::fold::{Fold, Verifier};
use turted_core::record::frame::{self, Frames};
use turted_core::record::session::{Change, Record, SessionRecord};

fuzz_target!(|input: &[u8]| {
    // The first byte says whether the rest is a file or one body: checksums keep all but a few inputs out.
    let Some((is_file, input)) = input.split_first() else { return };
    let bodies: Vec<&[u8]> = match is_file % 2 {
        0 => vec![input],
        _ => Frames::of(input).map_while(Result::ok).collect(),
    };
    let mut fold = Fold::default();
    for body in bodies {
        let Ok(record) = Record::read(body) else { continue };
        let mut again = Vec::new();
        record.put(&mut again);
        assert_eq!(again, body);
        if let Record::Session(record) = record {
            fold.add(record, Verifier::Same);
        }
    }
    let (version, number) = (fold.version(), fold.number());
    let mut anew = Fold::default();
    let mut file = Vec::new();
    for (key, state) in fold.finish().sessions {
        let record = SessionRecord { key, version, change: Change::Whole(state) };
        frame::append(&mut file, |body| record.put(body)).expect("it was in a frame before");
        anew.add(record, Verifier::Same);
    }
    assert!(Frames::of(&file).all(|frame| frame.is_ok()));
    assert!(anew.number() <= number);
});
