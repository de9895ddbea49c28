//! The rules of the table.

use super::*;
use crate::name::Name;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(epoch: u64, sequence: u64) -> Option<Cursor> {
    Some(Cursor { epoch, sequence })
}

/// The author with this process; its node has the same number.
fn author(process: u16) -> Author {
    Author { node: process, process: process.into() }
}

fn record(read: Option<Cursor>) -> NodeRecord {
    NodeRecord {
        version: Name::new("1.0.0").unwrap(),
        reads: 1,
        advertise: None,
        progress: Progress { read, acknowledged: None },
        keeps: None,
        draining: false,
        connections: 0,
        rules: vec![],
    }
}

fn hear(table: &mut Table, process: u16, read: Option<Cursor>, now: u64) {
    table.heard(author(process), record(read), seconds(now));
}

fn missing(table: &Table) -> Vec<u64> {
    table.witnesses_missing().collect()
}

/// Nodes 1 and 2 have read up to 7-20, and are heard at second 10.
fn two() -> Table {
    let mut table = Table::default();
    hear(&mut table, 1, at(7, 20), 10);
    hear(&mut table, 2, at(7, 20), 10);
    table
}

#[test]
fn a_node_that_was_not_heard_for_15_seconds_is_silent_until_it_is_heard_again() {
    let mut table = two();
    hear(&mut table, 2, None, 20);
    assert_eq!((table.silent(seconds(25)).count(), table.alive(seconds(25)).count()), (0, 2));
    assert_eq!(table.silent(seconds(26)).collect::<Vec<_>>(), [1]);
    hear(&mut table, 1, None, 26);
    assert_eq!(table.silent(seconds(26)).count(), 0);
}

#[test]
fn silence_does_not_count_while_this_node_hears_nothing_itself() {
    let mut table = two();
    hear(&mut table, 3, None, 1);
    // Node 3 was silent before. Nothing was heard from second 17 to second 60.
    table.excuse(seconds(17), seconds(60));
    assert_eq!(table.alive(seconds(75)).map(|(process, _)| process).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(table.silent(seconds(60)).collect::<Vec<_>>(), [3]);
    hear(&mut table, 2, None, 70);
    assert_eq!(table.silent(seconds(76)).collect::<Vec<_>>(), [1, 3], "node 1 has had its 15 seconds");
    assert_eq!(table.all().map(|(_, known)| known.heard).collect::<Vec<_>>(), [10, 70, 1].map(seconds));
}

#[test]
fn a_node_that_has_left_is_not_excused() {
    let mut table = two();
    table.left(author(1), Progress::default(), seconds(11));
    table.excuse(seconds(12), seconds(60));
    assert_eq!(table.alive(seconds(60)).map(|(process, _)| process).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_node_that_has_left_is_neither_alive_nor_silent() {
    let mut table = two();
    table.left(author(1), Progress::default(), seconds(11));
    let states: Vec<_> = table.all().map(|(_, known)| known.state).collect();
    assert_eq!(states, [NodeState::Left, NodeState::Alive]);
    assert_eq!(table.alive(seconds(12)).map(|(process, _)| process).collect::<Vec<_>>(), [2]);
    assert_eq!(table.silent(seconds(99)).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_draining_node_still_takes_part() {
    let mut table = two();
    table.heard(author(1), NodeRecord { draining: true, ..record(None) }, seconds(12));
    let (process, known) = table.by_number(seconds(12))[&1];
    assert_eq!((process, known.state), (1, NodeState::Draining));
}

/// The process that has number 1.
fn first(table: &Table, now: u64) -> Option<u64> {
    table.by_number(seconds(now)).get(&1).map(|(process, _)| *process)
}

/// Process 99 says that it has number 1.
fn claim(table: &mut Table, now: u64) {
    table.heard(Author { node: 1, process: 99 }, record(None), seconds(now));
}

#[test]
fn of_two_processes_with_a_number_the_one_counts_that_has_it_for_longer() {
    let mut table = two();
    claim(&mut table, 12);
    assert_eq!(first(&table, 13), Some(1));
    hear(&mut table, 1, None, 14);
    claim(&mut table, 20);
    assert_eq!(first(&table, 29), Some(1));
    assert_eq!(first(&table, 30), Some(99), "the other one is silent");
    hear(&mut table, 1, None, 31);
    assert_eq!(first(&table, 31), Some(99), "it was silent too long to have it still");
    table.heard(Author { node: 3, process: 99 }, record(None), seconds(32));
    assert_eq!(first(&table, 32), Some(1));
    claim(&mut table, 33);
    assert_eq!(first(&table, 33), Some(1), "it had another one meanwhile");
    assert_eq!(first(&table, 60), None);
}

#[test]
fn nodes_write_what_the_oldest_live_one_reads() {
    let mut table = Table::default();
    assert_eq!(table.oldest_reads(seconds(0)), None);
    let reads = |reads: u8| NodeRecord { reads, ..record(None) };
    table.heard(author(1), reads(1), seconds(1));
    table.heard(author(2), reads(2), seconds(10));
    assert_eq!(table.oldest_reads(seconds(10)), Some(1));
    assert_eq!(table.oldest_reads(seconds(17)), Some(2), "the other one is silent");
}

#[test]
fn nodes_that_are_gone_are_forgotten_after_a_while() {
    let mut table = two();
    table.tidy(seconds(10) + MEMORY);
    assert_eq!(table.all().count(), 2);
    table.tidy(seconds(11) + MEMORY);
    assert_eq!(table.all().count(), 0);
}

#[test]
fn whoever_writes_many_processes_displaces_the_oldest() {
    let mut table = Table::default();
    for process in 0..=u16::try_from(PROCESSES_MAX).unwrap() {
        hear(&mut table, process, None, process.into());
    }
    assert_eq!(
        (table.all().count(), table.all().next().map(|(process, _)| process)),
        (PROCESSES_MAX, Some(1))
    );
}

#[test]
fn nodes_that_are_made_up_displace_none_that_takes_part() {
    let mut table = two();
    for process in 0..2 * u16::try_from(PROCESSES_MAX).unwrap() {
        hear(&mut table, 1_000 + process, None, 11);
    }
    assert_eq!(table.all().count(), PROCESSES_MAX);
    let known: Vec<_> = two().all().map(|(process, _)| process).collect();
    assert!(known.iter().all(|process| table.all().any(|(own, _)| own == *process)));
    hear(&mut table, 999, None, 11 + SILENCE.as_secs() + 1);
    assert!(table.all().any(|(process, _)| process == 999), "the others are silent by now");
}

#[test]
fn nothing_is_lost_once_every_node_has_read_how_the_epoch_ended() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    assert_eq!((missing(&table), table.judge(seconds(12))), (vec![1, 2], None));
    hear(&mut table, 1, at(9, 1_001), 13);
    hear(&mut table, 2, at(7, 20), 14);
    assert_eq!((missing(&table), table.judge(seconds(14))), (vec![2], None), "node 2 may read on in epoch 7");
    hear(&mut table, 2, at(9, 1_002), 15);
    assert_eq!(table.judge(seconds(15)), Some(Judgement::Whole(9)));
    assert_eq!(table.judge(seconds(99)), None, "it is told once");
}

#[test]
fn something_is_lost_if_a_node_was_further_than_the_end() {
    let mut table = two();
    table.begun(9, at(7, 19), seconds(12));
    assert_eq!(table.judge(seconds(12)), Some(Judgement::Lost(9)), "it had said so before");

    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    hear(&mut table, 1, at(7, 21), 13);
    assert_eq!(table.judge(seconds(13)), Some(Judgement::Lost(9)), "it says so now");

    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    let progress = Progress { read: at(7, 20), acknowledged: at(7, 25) };
    table.heard(author(1), NodeRecord { progress, ..record(None) }, seconds(13));
    assert_eq!(table.judge(seconds(13)), Some(Judgement::Lost(9)), "it was told that 25 is in the log");

    let mut table = two();
    table.begun(9, None, seconds(12));
    assert_eq!(table.judge(seconds(12)), Some(Judgement::Lost(9)), "the log was gone");
}

#[test]
fn something_may_be_lost_if_a_witness_is_silent() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    hear(&mut table, 1, at(9, 1_001), 13);
    assert_eq!(table.judge(seconds(27)), None);
    assert_eq!(table.judge(seconds(28)), Some(Judgement::Lost(9)));
}

#[test]
fn a_witness_that_is_heard_and_has_not_read_on_is_waited_for_longer() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    hear(&mut table, 1, at(9, 1_001), 13);
    hear(&mut table, 2, at(7, 20), 20);
    assert_eq!(table.judge(seconds(35)), None);
    for heard in (35..=80).step_by(15) {
        hear(&mut table, 2, at(7, 20), heard);
    }
    assert_eq!(table.judge(seconds(72)), None);
    let mut behind = table.clone();
    hear(&mut behind, 2, at(9, 1_002), 72);
    assert_eq!(behind.judge(seconds(72)), Some(Judgement::Whole(9)));
    assert_eq!(table.judge(seconds(73)), Some(Judgement::Lost(9)), "not for ever");
}

#[test]
fn a_witness_that_nobody_could_hear_has_15_seconds_more_to_say() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    assert!(!table.is_judgement_due(seconds(27)) && table.is_judgement_due(seconds(28)));
    table.excuse(seconds(17), seconds(60));
    assert!(!table.is_judgement_due(seconds(75)));
    assert_eq!(table.judge(seconds(75)), None);
    assert_eq!(table.judge(seconds(76)), Some(Judgement::Lost(9)));
    table.begun(10, at(9, 1_001), seconds(80));
    table.excuse(seconds(96), seconds(120));
    assert_eq!(table.judge(seconds(96)), Some(Judgement::Lost(10)), "they were overdue before");
}

#[test]
fn something_may_be_lost_if_no_node_is_known_from_before() {
    let mut table = Table::default();
    table.begun(9, at(7, 20), seconds(1));
    assert_eq!(table.judge(seconds(1)), Some(Judgement::Lost(9)));
    table.begun(10, None, seconds(1));
    assert_eq!(table.judge(seconds(1)), Some(Judgement::Whole(10)), "there was no log");
}

#[test]
fn a_node_that_has_left_is_asked_for_nothing_because_its_last_word_said_it() {
    let mut table = two();
    for process in [1, 2] {
        table.left(author(process), Progress { read: at(7, 20), acknowledged: at(7, 22) }, seconds(11));
    }
    let mut behind = table.clone();
    behind.begun(9, at(7, 22), seconds(12));
    assert_eq!(behind.judge(seconds(12)), Some(Judgement::Whole(9)));
    table.begun(9, at(7, 21), seconds(12));
    assert_eq!(table.judge(seconds(12)), Some(Judgement::Lost(9)));
}

#[test]
fn a_witness_may_leave_instead_of_answering() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    hear(&mut table, 1, at(9, 1_001), 13);
    table.left(author(2), Progress { read: at(7, 20), acknowledged: None }, seconds(13));
    assert_eq!(table.judge(seconds(13)), Some(Judgement::Whole(9)));
}

#[test]
fn a_node_that_was_gone_before_the_epoch_ended_is_no_witness() {
    let mut table = two();
    hear(&mut table, 2, at(7, 30), 30);
    table.begun(9, at(7, 31), seconds(31));
    assert_eq!(missing(&table), [2], "what node 1 knows, node 2 has read");
}

#[test]
fn the_last_nodes_of_an_epoch_are_witnesses_however_long_it_is_over() {
    let mut table = two();
    table.begun(9, at(7, 21), seconds(1_000));
    assert_eq!(missing(&table), [1, 2], "all of them were gone while the engine was");
    assert_eq!(table.judge(seconds(1_015)), None);
    assert_eq!(table.judge(seconds(1_016)), Some(Judgement::Lost(9)));
}

#[test]
fn epochs_that_begin_one_after_the_other_are_one_question() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    hear(&mut table, 1, at(9, 1_001), 13);
    table.begun(10, at(9, 1_001), seconds(20));
    assert_eq!(missing(&table), [1, 2]);
    hear(&mut table, 1, at(10, 2_001), 21);
    assert_eq!(table.judge(seconds(27)), None);
    assert_eq!(table.judge(seconds(28)), Some(Judgement::Lost(10)), "node 2 is silent since epoch 9 began");
}

#[test]
fn each_of_several_epochs_has_its_own_end() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    table.begun(10, at(9, 1_001), seconds(13));
    hear(&mut table, 1, at(7, 21), 14);
    assert_eq!(table.judge(seconds(14)), Some(Judgement::Lost(10)), "epoch 7 had ended at 20");
}

#[test]
fn a_question_about_very_many_epochs_is_a_loss() {
    let mut table = two();
    (9..73).for_each(|epoch| table.begun(epoch, at(epoch - 1, 20), seconds(12)));
    assert_eq!(table.judge(seconds(12)), None);
    table.begun(73, at(72, 20), seconds(12));
    assert_eq!(table.judge(seconds(12)), Some(Judgement::Lost(73)));
}

#[test]
fn a_node_that_is_new_in_the_epoch_is_no_witness() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    hear(&mut table, 3, None, 13);
    assert_eq!(missing(&table), [1, 2]);
}

#[test]
fn a_loss_that_another_node_has_told_is_no_question_any_more() {
    let mut table = two();
    table.begun(9, at(7, 20), seconds(12));
    table.told(7);
    assert_eq!(missing(&table), [1, 2], "that was an earlier one");
    table.told(9);
    assert_eq!(table.judge(seconds(99)), None);
}

#[test]
fn what_any_node_keeps_is_kept_until_that_node_has_left_or_is_silent() {
    let mut table = two();
    assert_eq!(table.keeps(seconds(10)), None);
    let keeps = |epoch, sequence| NodeRecord { keeps: at(epoch, sequence), ..record(None) };
    table.heard(author(1), keeps(8, 3), seconds(10));
    table.heard(author(2), keeps(7, 9), seconds(11));
    assert_eq!(table.keeps(seconds(25)), at(7, 9));
    assert_eq!(table.keeps(seconds(26)), at(7, 9), "node 1 is silent");
    table.heard(author(1), keeps(8, 4), seconds(26));
    table.left(author(2), Progress::default(), seconds(26));
    assert_eq!(table.keeps(seconds(26)), at(8, 4));
}
