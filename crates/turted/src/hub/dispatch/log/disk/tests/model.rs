//! Many lives with every kind of end, against a model that knows what was handed out.
//!
//! The one rule: a position that a start takes for good is followed by all that was handed out after it, once, in order.

use std::collections::BTreeMap;
use std::fs::OpenOptions;

use proptest::prelude::*;

use super::*;

/// Bytes of a file that has its first record alone.
const EMPTY_FILE_BYTES: u64 = 33;

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u64),
    Sync,
    /// Keeps so many dispatches.
    Forget(u64),
    End(End),
}

/// How a life ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Clean,
    Kill,
    /// Of what was not synced so many thousandths were written.
    PowerLoss(u64),
    LeftBehind,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..5).prop_map(Step::Push),
        1 => Just(Step::Sync),
        1 => (0_u64..40).prop_map(Step::Forget),
        2 => prop_oneof![
            Just(End::Clean),
            Just(End::Kill),
            (0_u64..=1_000).prop_map(End::PowerLoss),
            Just(End::LeftBehind),
        ]
        .prop_map(Step::End),
    ]
}

struct Model {
    place: Place,
    life: Option<Life>,
    boot: u32,
    /// What each number said when it was handed out, and the epoch of that.
    handed_out: BTreeMap<u64, (u32, String)>,
    /// What was written and, with `always`, not synced: handed to nobody yet.
    written: BTreeMap<u64, (u32, String)>,
    /// Bytes of each file when it was last synced.
    synced: BTreeMap<PathBuf, u64>,
    /// The first number that the log must have.
    first: u64,
    pushes: u32,
}

impl Model {
    fn new(sync: LogSync) -> Self {
        let place = Place::new(sync);
        let (handed_out, written, synced) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut model = Self { place, life: None, boot: 1, handed_out, written, synced, first: 1, pushes: 0 };
        model.start(Verdict::Empty);
        model
    }

    fn is_always(&self) -> bool {
        self.place.log.sync == LogSync::Always
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("a life at all times")
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(count) => self.push(count),
            Step::Sync => self.sync(),
            Step::Forget(kept) => {
                self.first = self.first.max(self.life().next.saturating_sub(kept));
                let first = self.first;
                self.life().store.forget_before(first, Duration::ZERO).unwrap();
            }
            Step::End(end) => self.end(end),
        }
    }

    fn push(&mut self, count: u64) {
        let (epoch, first) = (self.place.starts, self.life().next);
        self.pushes += 1;
        let said = |number| format!("push {} is number {number}", self.pushes);
        let dispatches: Vec<_> = (first..first + count).map(|number| dispatch(&said(number))).collect();
        self.written.extend((first..first + count).map(|number| (number, (epoch, said(number)))));
        let life = self.life();
        let push =
            PushRecord { first, uptime: Duration::ZERO, synced: 0, key: None, dispatches: &dispatches };
        life.store.add(Record::Push(push)).unwrap();
        life.store.write().unwrap();
        life.next += count;
        for file in self.place.push_files() {
            self.synced.entry(file).or_insert(EMPTY_FILE_BYTES);
        }
        if !self.is_always() {
            self.handed_out.append(&mut self.written);
        }
    }

    fn sync(&mut self) {
        self.life().store.sync().unwrap();
        self.handed_out.append(&mut self.written);
        for file in self.place.push_files() {
            let bytes = fs::metadata(&file).unwrap().len();
            self.synced.insert(file, bytes);
        }
    }

    fn end(&mut self, end: End) {
        let mut life = self.life.take().expect("a life at all times");
        let epoch = self.place.starts;
        let mut expected = Verdict::Continued;
        match end {
            End::Clean => {
                life.store.end(life.next - 1, Duration::ZERO).unwrap();
                self.handed_out.append(&mut self.written);
            }
            End::Kill => {}
            End::PowerLoss(thousandths) => {
                self.boot += 1;
                let last = last_file(&self.place, epoch.into());
                let (bytes, synced) = (fs::metadata(&last).unwrap().len(), self.synced[&last]);
                let left = synced + (bytes - synced) * thousandths / 1_000;
                OpenOptions::new().write(true).open(last).unwrap().set_len(left).unwrap();
                if !self.is_always() {
                    expected = Verdict::NewEpoch(Reason::PowerLoss);
                }
            }
            End::LeftBehind => {
                life.store.mark_left_behind().unwrap();
                expected = Verdict::NewEpoch(Reason::LeftBehind);
            }
        }
        drop(life);
        self.start(expected);
    }

    fn start(&mut self, expected: Verdict) {
        let boot = format!("boot {}", self.boot);
        let life = self.place.start(Some(&boot));
        assert_eq!(life.found.verdict, expected);
        // What was written and handed to nobody may be there: then it is the end of the log, and nothing else.
        let written = std::mem::take(&mut self.written);
        let is_found = |number: u64| life.found.dispatches.iter().any(|found| found.sequence == number);
        self.handed_out.extend(written.into_iter().filter(|(number, _)| is_found(*number)));
        if expected == Verdict::Continued {
            self.check(&life);
        } else {
            self.first = life.found.last + 1;
            assert!(life.found.dispatches.is_empty());
            assert!(
                self.handed_out.keys().all(|number| *number < life.found.last),
                "no number is given twice"
            );
        }
        for (number, (epoch, _)) in &self.handed_out {
            let is_known = life.knows(u64::from(*epoch), *number);
            assert_eq!(
                is_known,
                expected == Verdict::Continued && life.knows_epoch(u64::from(*epoch)),
                "{epoch}-{number}"
            );
        }
        for file in self.place.push_files() {
            let bytes = fs::metadata(&file).unwrap().len();
            self.synced.insert(file, bytes);
        }
        self.life = Some(life);
    }

    /// All that was handed out and is kept is there, as it was said, and nothing else.
    fn check(&self, life: &Life) {
        let found: Vec<_> = life
            .found
            .dispatches
            .iter()
            .map(|found| (found.sequence, found.dispatch.payload.get().to_owned()))
            .collect();
        let from = found.first().map_or(life.found.last + 1, |(number, _)| *number);
        assert!(from <= self.first.max(1) || found.is_empty(), "{from} {}", self.first);
        let expected: Vec<_> = self
            .handed_out
            .range(from..)
            .map(|(number, (_, said))| (*number, format!("\"{said}\"")))
            .collect();
        assert_eq!(found, expected);
        let last = self.handed_out.keys().next_back().copied().unwrap_or(0);
        assert!(life.found.last >= last, "{} {last}", life.found.last);
    }
}

/// The push file that a life wrote last.
fn last_file(place: &Place, epoch: u64) -> PathBuf {
    let start = format!("push-{epoch:08x}-");
    let place_of = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.strip_prefix(&start)?.strip_suffix(".log")?.parse::<u64>().ok()
    };
    place.push_files().into_iter().max_by_key(place_of).unwrap()
}

impl Life {
    fn knows_epoch(&self, epoch: u64) -> bool {
        self.found.epochs.rows().any(|row| row.epoch == epoch)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_position_that_is_good_is_followed_by_all_that_was_handed_out_after_it(
        is_always: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let sync = if is_always { LogSync::Always } else { LogSync::Interval(Duration::from_secs(1)) };
        let mut model = Model::new(sync);
        steps.into_iter().for_each(|step| model.run(step));
        model.run(Step::End(End::Kill));
    }
}
