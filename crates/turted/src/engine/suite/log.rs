//! The log: epochs, order, keys, holds, reading.

use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;

use super::super::{Append, Appended, Change, Changed, Engine, Reader, Reign, State, Writer};
use super::{EPOCH, FIRST, LONG, Place, append, at, begun, bytes, change, keyed, plain, values};

pub(super) async fn pass<P: Place>(place: &P) {
    an_epoch_begins_at_its_first_number(place).await;
    numbers_are_dense_and_pushes_contiguous(place).await;
    of_two_that_begin_one_wins(place).await;
    an_epoch_below_the_last_one_does_not_begin(place).await;
    an_epoch_does_not_begin_behind_an_end_that_is_not_the_last(place).await;
    a_former_epoch_takes_nothing(place).await;
    without_a_log_nothing_is_appended(place).await;
    a_key_is_known_after_its_push(place).await;
    a_key_is_stored_only_with_its_push(place).await;
    a_key_is_forgotten_when_it_is_old_enough(place).await;
    a_push_needs_the_name_that_it_holds(place).await;
    each_push_of_a_batch_has_a_result(place).await;
    everybody_reads_everything_in_order(place).await;
    a_reader_waits_for_the_next_entry(place).await;
    what_is_trimmed_is_gone(place).await;
    an_entry_is_found_by_its_position(place).await;
    the_clock_goes_forward(place).await;
}

/// All that a reader finds.
async fn read_all<P: Place>(place: &P) -> Vec<(Cursor, Option<Bytes>)> {
    let (mut reader, _) = place.engine(9).reader().await.unwrap();
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let read = reader.read(after, 3).await.unwrap();
        let Some((last, _)) = read.last() else { return all };
        after = Some(*last);
        all.extend(read);
    }
}

async fn texts<P: Place>(place: &P) -> Vec<String> {
    let read = read_all(place).await.into_iter();
    read.map(|(_, entry)| String::from_utf8(entry.unwrap().to_vec()).unwrap()).collect()
}

async fn look(writer: &mut impl Writer) -> State {
    writer.state().await.unwrap()
}

async fn an_epoch_begins_at_its_first_number<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let state = look(&mut writer).await;
    assert_eq!(state.last, Some(at(0)));
    let reign = Reign { epoch: EPOCH, first: FIRST, process: state.process.clone() };
    assert_eq!(state.reign, Some(reign));
    assert_eq!(read_all(place).await, [(at(0), Some(Bytes::from_static(b"begin")))]);
    let (_, seen) = place.engine(2).reader().await.unwrap();
    assert_eq!((seen.last, seen.reign, seen.process), (state.last, state.reign, state.process));
}

async fn numbers_are_dense_and_pushes_contiguous<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let (mut other, _) = place.engine(2).writer().await.unwrap();
    let (one, three) = (bytes(["a"]), bytes(["b", "c", "d"]));
    assert_eq!(append(&mut writer, EPOCH, plain(&one)).await, Appended::At(at(1)));
    assert_eq!(append(&mut other, EPOCH, plain(&three)).await, Appended::At(at(2)));
    assert_eq!(append(&mut writer, EPOCH, keyed(&three, "key:1")).await, Appended::At(at(5)));
    assert_eq!(append(&mut other, EPOCH, plain(&one)).await, Appended::At(at(8)));
    assert_eq!(texts(place).await.concat(), "beginabcdbcda");
    let positions: Vec<_> = read_all(place).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(positions, (0..9).map(at).collect::<Vec<_>>());
}

async fn of_two_that_begin_one_wins<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let (mut other, state) = place.engine(2).writer().await.unwrap();
    let next = |epoch| Reign { epoch, first: FIRST + 100, process: state.process.clone() };
    assert_eq!(other.begin(&state, &next(EPOCH + 2), b"other").await, Ok(true));
    assert_eq!(writer.begin(&state, &next(EPOCH + 3), b"late").await, Ok(false));
    let none = State { reign: None, ..state.clone() };
    assert_eq!(writer.begin(&none, &next(EPOCH + 3), b"late").await, Ok(false));
    assert_eq!(look(&mut writer).await.reign, Some(next(EPOCH + 2)));
    assert_eq!(texts(place).await, ["begin", "other"]);
    // The same node may begin the next one.
    let again = look(&mut writer).await;
    assert_eq!(writer.begin(&again, &next(EPOCH + 3), b"third").await, Ok(true));
}

async fn an_epoch_below_the_last_one_does_not_begin<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let state = look(&mut writer).await;
    let lower = Reign { epoch: EPOCH - 1, first: FIRST + 100, process: state.process.clone() };
    assert_eq!(writer.begin(&state, &lower, b"lower").await, Ok(false));
    assert_eq!(look(&mut writer).await.reign, state.reign);
    assert_eq!(texts(place).await, ["begin"]);
}

async fn an_epoch_does_not_begin_behind_an_end_that_is_not_the_last<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let seen = look(&mut writer).await;
    let next = Reign { epoch: EPOCH + 1, first: FIRST + 100, process: seen.process.clone() };
    append(&mut writer, EPOCH, plain(&bytes(["a"]))).await;
    assert_eq!(writer.begin(&seen, &next, b"next").await, Ok(false), "a was not seen");
    let nothing = State { last: None, ..seen };
    assert_eq!(writer.begin(&nothing, &next, b"next").await, Ok(false));
    let seen = look(&mut writer).await;
    assert_eq!(writer.begin(&seen, &next, b"next").await, Ok(true));
    assert_eq!(texts(place).await, ["begin", "a", "next"]);
}

async fn a_former_epoch_takes_nothing<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let state = look(&mut writer).await;
    let next = Reign { epoch: EPOCH + 1, first: FIRST + 100, process: state.process.clone() };
    assert_eq!(writer.begin(&state, &next, b"next").await, Ok(true));
    let (one, two) = (bytes(["a"]), bytes(["b", "c"]));
    for push in [plain(&one), plain(&two), keyed(&one, "key:1")] {
        assert_eq!(append(&mut writer, EPOCH, push).await, Appended::Stale);
    }
    // The key of what was refused is not known.
    let first = Cursor { epoch: EPOCH + 1, sequence: FIRST + 101 };
    assert_eq!(append(&mut writer, EPOCH + 1, keyed(&one, "key:1")).await, Appended::At(first));
    assert_eq!(texts(place).await, ["begin", "next", "a"]);
}

async fn without_a_log_nothing_is_appended<P: Place>(place: &P) {
    place.clear().await;
    let (mut writer, _) = place.engine(1).writer().await.unwrap();
    let (one, two) = (bytes(["a"]), bytes(["b", "c"]));
    for push in [plain(&one), plain(&two), keyed(&one, "key:1")] {
        assert_eq!(append(&mut writer, EPOCH, push).await, Appended::Gone);
    }
    assert_eq!(look(&mut writer).await.last, None);
    let state = look(&mut writer).await;
    let reign = Reign { epoch: EPOCH, first: FIRST, process: state.process.clone() };
    assert_eq!(writer.begin(&state, &reign, b"begin").await, Ok(true));
    assert_eq!(append(&mut writer, EPOCH, keyed(&one, "key:1")).await, Appended::At(at(1)));
}

async fn a_key_is_known_after_its_push<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let (mut other, _) = place.engine(2).writer().await.unwrap();
    let (one, two) = (bytes(["a"]), bytes(["b", "c"]));
    assert_eq!(append(&mut writer, EPOCH, keyed(&two, "key:1")).await, Appended::At(at(1)));
    let known = Appended::Known(at(1), Bytes::from_static(b"kept"));
    assert_eq!(append(&mut other, EPOCH, keyed(&one, "key:1")).await, known);
    // Also in another epoch: its position is that of the first time.
    assert_eq!(append(&mut other, EPOCH + 1, keyed(&one, "key:1")).await, known);
    assert_eq!(append(&mut other, EPOCH, keyed(&one, "key:2")).await, Appended::At(at(3)));
    assert_eq!(texts(place).await, ["begin", "b", "c", "a"]);
    // What is kept may be any bytes.
    let binary = Append { entries: &one, key: Some(("key:3", b" \0\r\n ", LONG)), holds: None };
    assert_eq!(append(&mut writer, EPOCH, binary.clone()).await, Appended::At(at(4)));
    let kept = Bytes::from_static(b" \0\r\n ");
    assert_eq!(append(&mut writer, EPOCH, binary).await, Appended::Known(at(4), kept));
}

async fn a_key_is_stored_only_with_its_push<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let one = bytes(["a"]);
    let held = Append { holds: Some("node:1"), ..keyed(&one, "key:1") };
    assert_eq!(append(&mut writer, EPOCH - 1, keyed(&one, "key:1")).await, Appended::Stale);
    assert_eq!(append(&mut writer, EPOCH, held).await, Appended::NotHeld);
    assert_eq!(append(&mut writer, EPOCH, keyed(&one, "key:1")).await, Appended::At(at(1)));
}

async fn a_key_is_forgotten_when_it_is_old_enough<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let one = bytes(["a"]);
    let short = Append { entries: &one, key: Some(("key:1", b"", Duration::from_millis(50))), holds: None };
    assert_eq!(append(&mut writer, EPOCH, short.clone()).await, Appended::At(at(1)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(append(&mut writer, EPOCH, short).await, Appended::At(at(2)));
}

async fn a_push_needs_the_name_that_it_holds<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let (mut first, mut second) = (values(place, 1).await, values(place, 2).await);
    let one = bytes(["a"]);
    let held = Append { holds: Some("source:1"), ..plain(&one) };
    assert_eq!(append(&mut writer, EPOCH, held.clone()).await, Appended::NotHeld, "nobody holds it");
    let hold = Change::Hold { name: "source:1", value: b"x", age: LONG };
    assert_eq!(change(&mut first, hold.clone()).await, Changed::Done);
    assert_eq!(append(&mut writer, EPOCH, held.clone()).await, Appended::At(at(1)));
    assert_eq!(change(&mut first, Change::Delete { name: "source:1" }).await, Changed::Done);
    assert_eq!(change(&mut second, hold).await, Changed::Done);
    assert_eq!(append(&mut writer, EPOCH, held.clone()).await, Appended::NotHeld, "another one holds it");
    let keyed = Append { holds: Some("source:1"), ..keyed(&one, "key:1") };
    let (mut other, _) = place.engine(2).writer().await.unwrap();
    assert_eq!(append(&mut other, EPOCH, keyed).await, Appended::At(at(2)));
}

async fn each_push_of_a_batch_has_a_result<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let (one, two) = (bytes(["a"]), bytes(["b", "c"]));
    let unheld = Append { holds: Some("source:1"), ..plain(&one) };
    let batch = [plain(&one), keyed(&two, "key:1"), unheld, keyed(&one, "key:1"), plain(&two), plain(&one)];
    let appended = writer.append(EPOCH, &batch, 0).await.unwrap();
    let known = Appended::Known(at(2), Bytes::from_static(b"kept"));
    let expected = [
        Appended::At(at(1)),
        Appended::At(at(2)),
        Appended::NotHeld,
        known,
        Appended::At(at(4)),
        Appended::At(at(6)),
    ];
    assert_eq!(appended, expected);
    assert_eq!(writer.append(EPOCH, &[], 0).await, Ok(vec![]));
    assert_eq!(texts(place).await.concat(), "beginabcbca");
}

async fn everybody_reads_everything_in_order<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let entries: Vec<_> = (0_u32..500).map(|number| Bytes::from(number.to_string())).collect();
    for pushes in entries.chunks(50) {
        let pushes: Vec<_> = pushes.chunks(7).map(plain).collect();
        assert_eq!(writer.append(EPOCH, &pushes, 0).await.unwrap().len(), 8);
    }
    let (mut reader, _) = place.engine(2).reader().await.unwrap();
    let (mut read, mut after) = (Vec::new(), Some(at(0)));
    while read.len() < entries.len() {
        let some = reader.read(after, 64).await.unwrap();
        assert!((1..=64).contains(&some.len()), "{}", some.len());
        after = some.last().map(|(at, _)| *at);
        read.extend(some);
    }
    let expected: Vec<_> = (1..).map(at).zip(entries.into_iter().map(Some)).collect();
    assert_eq!(read, expected);
}

async fn a_reader_waits_for_the_next_entry<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let (mut reader, _) = place.engine(2).reader().await.unwrap();
    assert_eq!(reader.read(Some(at(0)), 10).await, Ok(vec![]), "nothing comes for a second");
    let one = bytes(["a"]);
    let (read, appended) =
        tokio::join!(reader.read(Some(at(0)), 10), append(&mut writer, EPOCH, plain(&one)));
    assert_eq!(appended, Appended::At(at(1)));
    assert_eq!(read, Ok(vec![(at(1), Some(one[0].clone()))]));
    assert!(reader.state().await.unwrap().last == Some(at(1)));
}

async fn what_is_trimmed_is_gone<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let four = bytes(["a", "b", "c", "d"]);
    append(&mut writer, EPOCH, plain(&four)).await;
    for _ in 0..2 {
        writer.trim(at(3)).await.unwrap();
        assert_eq!(texts(place).await, ["c", "d"]);
    }
    // Also if all is: numbers go on.
    writer.trim(at(9)).await.unwrap();
    assert_eq!(look(&mut writer).await.last, Some(at(4)));
    assert_eq!(append(&mut writer, EPOCH, plain(&four)).await, Appended::At(at(5)));
}

async fn an_entry_is_found_by_its_position<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let two = bytes(["a", "b"]);
    append(&mut writer, EPOCH, plain(&two)).await;
    assert_eq!(writer.entry(at(2)).await, Ok(Some(two[1].clone())));
    assert_eq!(writer.entry(at(3)).await, Ok(None));
    assert_eq!(writer.entry(Cursor { epoch: EPOCH - 1, ..at(2) }).await, Ok(None));
}

async fn the_clock_goes_forward<P: Place>(place: &P) {
    let mut writer = begun(place).await;
    let before = look(&mut writer).await;
    let after = look(&mut writer).await;
    assert!(before.now <= after.now && before.process == after.process);
}
