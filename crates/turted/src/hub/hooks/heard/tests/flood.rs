//! More changes than a backend takes: who is online is told all the same, and every dispatch.

use std::collections::BTreeMap;

use super::*;

/// Channels of the client that floods.
const CHANNELS: usize = 126;

/// A backend that keeps to `docs/hooks.md`.
#[derive(Default)]
struct Backend {
    /// Users and users in channels, with whether that is doubtful.
    known: BTreeMap<String, bool>,
    dispatches: Vec<usize>,
    synced: usize,
}

impl Backend {
    fn hear(&mut self, records: &[String]) {
        for record in records {
            if let Some(name) = record.strip_prefix('+') {
                self.known.insert(name.to_owned(), false);
            } else if let Some(name) = record.strip_prefix('-') {
                let channels = format!("{name}@");
                self.known.retain(|known, _| known != name && !known.starts_with(&channels));
            } else if let Some(number) = record.strip_prefix("dispatch ") {
                self.dispatches.push(number.parse().unwrap());
            } else if record == "synced" {
                self.known.retain(|_, is_doubtful| !*is_doubtful);
                self.synced += 1;
            } else {
                self.known.values_mut().for_each(|is_doubtful| *is_doubtful = true);
            }
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Takes all that is left.
    fn catch_up(&mut self, heard: &mut Heard) {
        while !heard.is_idle() {
            self.hear(&take(heard, RECORDS_OF_BATCH));
        }
    }
}

fn dispatch(heard: &mut Heard, number: usize) {
    heard.dispatched(&number.to_string().into());
}

#[test]
fn one_client_that_floods_keeps_neither_the_telling_from_its_end_nor_a_dispatch_from_the_backend() {
    let (mut heard, mut backend, ids) = (Heard::new(&ALL[..4]), Backend::default(), ids(3));
    let channels: Vec<_> = (0..CHANNELS).map(|number| format!("c{number}")).collect();
    let channels: Vec<_> = channels.iter().map(String::as_str).collect();
    admit(&mut heard, ids[0], &is(&["honest"], &["room"]));
    admit(&mut heard, ids[1], &is(&["leaver"], &["room"]));
    admit(&mut heard, ids[2], &is(&["flip-1"], &channels));
    for round in 0..200 {
        toggle(&mut heard, ids[2], 5 * 2, &channels);
        dispatch(&mut heard, round);
        if round == 100 {
            heard.closed(ids[1], (None, Instant::now()), Close::ByClient);
            heard.expire(Instant::now());
        }
        let records = take(&mut heard, RECORDS_OF_BATCH);
        assert!(records.len() <= RECORDS_OF_BATCH && heard.waiting().0 <= HOOK_RECORDS_MAX);
        backend.hear(&records);
        assert!(backend.synced == 0 || backend.knows("honest@room"));
    }
    assert!(heard.dropped > 100_000, "{}", heard.dropped);
    assert!(backend.synced > 20, "{}", backend.synced);
    assert!(!backend.knows("leaver"), "its end may be lost; the telling makes up for it");
    backend.catch_up(&mut heard);
    assert_eq!(backend.dispatches, (0..200).collect::<Vec<_>>());
}

#[test]
fn names_that_come_behind_the_last_one_do_not_keep_the_telling_from_its_end() {
    let (mut heard, mut backend, ids) = (Heard::new(&ALL), Backend::default(), ids(2));
    admit(&mut heard, ids[0], &is(&["adam"], &["c"]));
    let mut names = (0..).map(|number| format!("z{number:06}"));
    for _ in 0..50 {
        // The telling takes half of each batch, and there are more new names than that.
        for name in names.by_ref().take(10) {
            admit(&mut heard, ids[1], &is(&[&name], &[]));
            heard.joined(ids[0], &Name::new(&name).unwrap());
        }
        backend.hear(&take(&mut heard, 8));
    }
    assert!(backend.synced > 0);
}

#[test]
fn a_backend_is_right_when_it_has_caught_up_whatever_was_lost() {
    let (mut heard, mut backend, ids) = (Heard::new(&ALL[..4]), Backend::default(), ids(8));
    let (users, channels) = (["a", "b", "c", "d"], ["m", "n", "o"]);
    let mut random = 1_u64;
    let mut any = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    admit(&mut heard, ids[7], &is(&["flip-1"], &[]));
    let mut online = BTreeMap::new();
    for step in 0..20_000 {
        let (id, user, channel) = (ids[any(7)], users[any(4)], channels[any(3)]);
        if any(3) == 0 {
            heard.closed(id, (None, Instant::now()), Close::ByClient);
            heard.expire(Instant::now());
            online.remove(&id);
        } else {
            admit(&mut heard, id, &is(&[user], &[channel]));
            online.insert(id, (user, channel));
        }
        match any(400) {
            0 => toggle(&mut heard, ids[7], HOOK_RECORDS_MAX / 2, &[]),
            1 => backend.catch_up(&mut heard),
            _ if step % 3 == 0 => backend.hear(&take(&mut heard, 2)),
            _ => {}
        }
    }
    assert!(heard.dropped > 100_000, "{}", heard.dropped);
    heard.closed(ids[7], (None, Instant::now()), Close::Expired);
    backend.catch_up(&mut heard);
    let mut expected: Vec<_> = online
        .values()
        .flat_map(|(user, channel)| [(*user).to_owned(), format!("{user}@{channel}")])
        .collect();
    expected.sort();
    expected.dedup();
    assert_eq!(backend.known.into_keys().collect::<Vec<_>>(), expected);
}
