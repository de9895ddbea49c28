//! The suite of engines, and what each fault does.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use turted_core::cursor::Cursor;

use super::super::suite::{self, Place};
use super::super::{Append, Appended, Engine, Failure, Reader, Reign, Writer};
use super::connection::{MemoryReader, MemoryWriter};
use super::{Chances, Flaws, Loss, MemoryEngine, World};

const SECOND: Duration = Duration::from_secs(1);
const EPOCH: u64 = 7;

/// Runs something on a clock that goes on when nothing else is to be done.
fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

struct Memory(RefCell<Rc<World>>);

impl Place for Memory {
    type Engine = MemoryEngine;

    async fn clear(&self) {
        *self.0.borrow_mut() = world();
    }

    fn engine(&self, process: u64) -> MemoryEngine {
        MemoryEngine::new(&self.0.borrow(), process)
    }
}

fn world() -> Rc<World> {
    let world = World::new(1);
    spawn_local(Rc::clone(&world).run());
    world
}

#[test]
fn it_passes_the_suite() {
    run(async { suite::pass(&Memory(RefCell::new(world()))).await });
}

/// A writer with an epoch begun, and its engine.
async fn begun(world: &Rc<World>) -> (MemoryEngine, MemoryWriter) {
    let engine = MemoryEngine::new(world, 1);
    let (mut writer, state) = engine.writer().await.unwrap();
    let reign = Reign { epoch: EPOCH, first: 1, process: state.process.clone() };
    assert_eq!(writer.begin(&state, &reign, b"begin").await, Ok(true));
    (engine, writer)
}

fn at(sequence: u64) -> Cursor {
    Cursor { epoch: EPOCH, sequence }
}

async fn append(writer: &mut MemoryWriter, text: &'static str) -> Result<Vec<Appended>, Failure> {
    let entries = [Bytes::from_static(text.as_bytes())];
    writer.append(EPOCH, &[Append { entries: &entries, key: None, holds: None }], 1).await
}

async fn texts(world: &Rc<World>) -> String {
    let (mut reader, _) = MemoryEngine::new(world, 9).reader().await.unwrap();
    read(&mut reader).await
}

async fn read(reader: &mut MemoryReader) -> String {
    let read = reader.read(None, 100).await.unwrap().into_iter().flat_map(|(_, entry)| entry);
    read.map(|entry| String::from_utf8(entry.to_vec()).unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_connection_breaks_before_or_behind_a_command() {
    run(async {
        let world = world();
        let (engine, mut writer) = begun(&world).await;
        world.has_chances(Chances { before: 1_000, ..Chances::default() });
        assert!(append(&mut writer, "before").await.is_err());
        world.has_chances(Chances::default());
        assert!(append(&mut writer, "broken").await.is_err(), "it stays broken");
        let (mut writer, _) = engine.writer().await.unwrap();
        world.has_chances(Chances { after: 1_000, ..Chances::default() });
        assert!(append(&mut writer, "after").await.is_err());
        world.has_chances(Chances::default());
        assert_eq!(texts(&world).await, "begin after");
    });
}

#[test]
fn what_an_abandoned_connection_had_sent_comes_unless_it_is_ended() {
    for (leaves_former, expected) in [(false, "begin"), (true, "begin late")] {
        run(async move {
            let world = world();
            let (engine, mut writer) = begun(&world).await;
            world.has_flaws(Flaws { leaves_former, ..Flaws::default() });
            world.has_chances(Chances { late: 1_000, ..Chances::default() });
            assert!(append(&mut writer, "late").await.is_err());
            world.has_chances(Chances::default());
            engine.writer().await.unwrap();
            sleep(SECOND * 5).await;
            assert_eq!(texts(&world).await, expected);
        });
    }
}

#[test]
fn a_command_that_is_given_up_is_done_all_the_same() {
    run(async {
        let world = world();
        let (_engine, mut writer) = begun(&world).await;
        world.stop(SECOND);
        assert!(timeout(SECOND / 2, append(&mut writer, "late")).await.is_err());
        assert!(append(&mut writer, "broken").await.is_err());
        assert_eq!(texts(&world).await, "begin late");
    });
}

#[test]
fn a_server_that_is_started_again_is_another_process_and_may_have_lost_something() {
    let cases = [
        (Loss::Nothing, "begin a b", true),
        (Loss::Tail(1), "begin a", true),
        (Loss::Tail(2), "begin", true),
        (Loss::Everything, "", false),
        (Loss::Log, "", true),
        (Loss::Reign, "begin a b", false),
    ];
    for (loss, expected, has_reign) in cases {
        run(async move {
            let world = world();
            let (engine, mut writer) = begun(&world).await;
            let before = writer.state().await.unwrap();
            append(&mut writer, "a").await.unwrap();
            append(&mut writer, "b").await.unwrap();
            world.restart(loss, SECOND);
            assert!(append(&mut writer, "broken").await.is_err());
            assert!(engine.writer().await.is_err(), "it is not there");
            sleep(SECOND).await;
            let (_, state) = engine.writer().await.unwrap();
            assert_ne!(state.process, before.process);
            assert_eq!(state.reign.is_some(), has_reign, "{loss:?}");
            assert_eq!(texts(&world).await, expected, "{loss:?}");
        });
    }
}

#[test]
fn a_replica_that_lags_is_promoted_and_the_former_master_comes_back() {
    run(async {
        let world = world();
        let (engine, mut writer) = begun(&world).await;
        world.pause_replica(true);
        assert_eq!(append(&mut writer, "a").await, Ok(vec![Appended::Unreplicated(at(2))]));
        world.promote(&[1]);
        assert_eq!(texts(&world).await, "begin", "others are sent to the new master");
        append(&mut writer, "split").await.unwrap();
        let (_, former) = engine.writer().await.unwrap();
        assert_eq!(former.last, Some(at(3)));
        let (mut reader, _) = engine.reader().await.unwrap();
        assert_eq!(read(&mut reader).await, "begin a split");
        world.demote(false);
        assert!(
            matches!(writer.state().await, Err(Failure::Lost(_))),
            "its connection was ended by the other"
        );
        assert!(matches!(reader.read(Some(at(3)), 9).await, Ok(read) if read.is_empty()));
        let (_, state) = engine.writer().await.unwrap();
        assert_eq!((state.last, state.process == former.process), (Some(at(1)), false));
        world.promote_former();
        let (_, again) = engine.writer().await.unwrap();
        assert!(![former.process, state.process].contains(&again.process));
    });
}

#[test]
fn a_reader_that_waits_hears_that_its_server_has_become_a_replica() {
    run(async {
        let world = world();
        let (engine, _writer) = begun(&world).await;
        let (mut reader, _) = engine.reader().await.unwrap();
        world.promote(&[]);
        let demote = async {
            sleep(SECOND / 2).await;
            world.demote(false);
        };
        let (read, ()) = tokio::join!(reader.read(Some(at(1)), 9), demote);
        assert!(matches!(read, Err(Failure::Moved(_))));
    });
}

#[test]
fn a_server_refuses_trims_and_has_a_clock_that_goes_back() {
    run(async {
        let world = world();
        let (_engine, mut writer) = begun(&world).await;
        world.refuse(Some("OOM"));
        assert_eq!(append(&mut writer, "a").await, Ok(vec![Appended::Refused("OOM".to_owned())]));
        world.refuse(None);
        append(&mut writer, "b").await.unwrap();
        let before = writer.state().await.unwrap();
        world.trim_to(1);
        world.set_back(SECOND * 60);
        let after = writer.state().await.unwrap();
        assert!(after.now + SECOND * 59 < before.now);
        assert_eq!((after.last, &*texts(&world).await), (before.last, "b"));
    });
}

#[test]
fn a_node_that_is_cut_off_hears_nothing_and_what_it_has_sent_comes_later() {
    run(async {
        let world = world();
        let (_engine, mut writer) = begun(&world).await;
        world.cut_off(1, true);
        assert!(timeout(SECOND * 60, append(&mut writer, "a")).await.is_err());
        assert_eq!(texts(&world).await, "begin");
        world.cut_off(1, false);
        sleep(SECOND).await;
        assert_eq!(texts(&world).await, "begin a");
    });
}
