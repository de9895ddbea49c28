use bytes::Bytes;

use super::*;

fn key(number: u8) -> SessionKey {
    SessionKey::of(&[number])
}

fn put(value: u8) -> Write {
    Write::Put(vec![value])
}

fn begun() -> (SessionWrites, Arc<Mutex<Vec<SessionKey>>>) {
    let (writes, taken) = (SessionWrites::new(), Arc::<Mutex<Vec<_>>>::default());
    let noted = Arc::clone(&taken);
    writes.begin(Duration::from_secs(60), move |key| noted.lock().unwrap().push(key));
    (writes, taken)
}

fn written(underway: &[Underway]) -> Vec<Write> {
    underway.iter().map(|underway| underway.write.clone()).collect()
}

#[test]
fn only_the_newest_of_a_session_is_written_and_one_write_at_a_time() {
    let (writes, _) = begun();
    writes.write(key(1), put(1), None);
    writes.write(key(1), put(2), None);
    let first = writes.take(10);
    assert_eq!(written(&first), [put(2)]);
    writes.write(key(1), Write::Delete, None);
    assert!(writes.take(10).is_empty(), "the first one is under way");
    writes.done(first.into_iter().map(|underway| (underway, Changed::Done)));
    let second = writes.take(10);
    assert_eq!(written(&second), [Write::Delete]);
    writes.done(second.into_iter().map(|underway| (underway, Changed::Missing)));
    assert_eq!(writes.waiting(), 0);
}

#[test]
fn what_the_engine_did_not_answer_is_written_later_unless_something_newer_waits() {
    let (writes, _) = begun();
    let (sender, mut waits) = oneshot::channel();
    writes.write(key(1), put(1), Some((None, sender)));
    writes.write(key(2), put(2), None);
    let underway = writes.take(10);
    writes.write(key(1), put(3), None);
    writes.put_back(underway);
    assert!(writes.is_away());
    let again = writes.take(10);
    assert_eq!(written(&again), [put(3), put(2)]);
    assert_eq!(waits.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    writes.done(again.into_iter().map(|underway| (underway, Changed::Done)));
    assert_eq!(waits.try_recv(), Err(oneshot::error::TryRecvError::Closed), "it is written");
    assert!(!writes.is_away());
}

#[test]
fn a_session_that_another_node_has_is_told_of_and_not_written_again() {
    let (writes, taken) = begun();
    writes.write(key(1), put(1), None);
    let mut written = writes.written(key(1)).unwrap();
    let underway = writes.take(10);
    let mut also = writes.written(key(1)).unwrap();
    writes.done(underway.into_iter().map(|underway| (underway, Changed::Owned(7, Bytes::new()))));
    assert_eq!(*taken.lock().unwrap(), [key(1)]);
    assert_eq!(writes.waiting(), 0);
    for waits in [&mut written, &mut also] {
        assert_eq!(waits.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
    assert!(writes.written(key(1)).is_none());
}

#[test]
fn an_engine_that_refuses_is_left_alone_for_a_while() {
    let (writes, _) = begun();
    writes.write(key(1), put(1), None);
    let underway = writes.take(10);
    let refused = |underway| (underway, Changed::Refused("OOM".to_owned()));
    assert!(writes.done(underway.into_iter().map(refused)));
    assert!(writes.take(10).is_empty());
    assert_eq!(writes.waiting(), 1);
}

#[test]
fn a_change_that_was_answered_and_never_recorded_is_counted_once() {
    let (writes, _) = begun();
    let owned = |underway| (underway, Changed::Owned(7, Bytes::new()));
    let done = |underway| (underway, Changed::Done);
    // Recorded in the end, as most are.
    writes.write(key(1), put(1), None);
    writes.answered_before(key(1));
    let underway = writes.take(10);
    writes.put_back(underway);
    writes.done(writes.take(10).into_iter().map(done));
    writes.answered_before(key(1));
    assert_eq!(writes.lost(), 0);
    // Another node has taken it meanwhile.
    writes.write(key(2), put(1), None);
    let underway = writes.take(10);
    writes.answered_before(key(2));
    writes.done(underway.into_iter().map(owned));
    assert_eq!(writes.lost(), 1);
    // Another node has taken it, and nobody was answered before.
    writes.write(key(3), put(1), None);
    writes.done(writes.take(10).into_iter().map(owned));
    assert_eq!(writes.lost(), 1);
    // This node leaves before Redis is back.
    writes.write(key(4), put(1), None);
    writes.write(key(5), put(1), None);
    writes.answered_before(key(4));
    writes.give_up();
    assert_eq!((writes.lost(), writes.waiting()), (2, 0));
}
