//! A loss of power leaves what was synced: all that clients were told of, or at least all that was taken away.

use std::collections::HashMap;
use std::sync::Mutex;

use super::*;

/// How much of each file is synced.
type Synced = Arc<Mutex<HashMap<PathBuf, u64>>>;

/// Sessions whose syncs are watched, and whose files are written anew when they have grown by a kilobyte.
fn watched(directory: &Directory, sync: LogSync) -> (Sessions, Synced, Receiver<()>) {
    let place = Place { sync, growth_bytes_min: 1_024, ..directory.place() };
    let (found, synced) = (Found::default(), Synced::default());
    let mut files = Files::new(place, (&by_name(), &found)).unwrap();
    let watched = Arc::clone(&synced);
    files.synced = Some(Arc::new(move |path, bytes| {
        watched.lock().unwrap().insert(path.to_owned(), bytes);
    }));
    files.begin(&found).unwrap();
    let sessions = Sessions::default();
    sessions.start(Journal::new(sync, 0), files).unwrap();
    let (asked, asks) = sync_channel(9);
    sessions.ask_by(move || asked.try_send(()).is_ok());
    (sessions, synced, asks)
}

/// What is found if the power goes now: of each file what is synced.
fn after_a_loss(directory: &Directory, synced: &Synced) -> Found {
    let name = directory.0.file_name().unwrap().to_str().unwrap();
    loop {
        let (left, files) = (Directory::new(&format!("{name}-left")), directory.files());
        for path in &files {
            let bytes = synced.lock().unwrap().get(path).copied().unwrap_or(0);
            let whole = fs::read(path).unwrap_or_default();
            let kept = &whole[..whole.len().min(usize::try_from(bytes).unwrap())];
            fs::write(left.0.join(path.file_name().unwrap()), kept).unwrap();
        }
        // Files that come and go meanwhile are looked at once more.
        if directory.files() == files {
            return left.find();
        }
    }
}

/// What sessions are, in an order.
type States = Vec<(SessionKey, Vec<String>, Vec<String>)>;

fn states<'a>(sessions: impl IntoIterator<Item = (&'a SessionKey, &'a SessionState)>) -> States {
    let names = |held: &[(Name, Since)]| {
        let mut names: Vec<_> = held.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        names.sort();
        names
    };
    let one = |(key, state): (&SessionKey, &SessionState)| {
        (*key, names(&state.memberships.users), names(&state.memberships.channels))
    };
    let mut states: States = sessions.into_iter().map(one).collect();
    states.sort();
    states
}

/// A change, what it does to a session, and whether it takes something away.
fn change(step: u64, state: &mut SessionState) -> (Change, Effect) {
    let name = [["a", "b", "c"][(step / 5 % 3) as usize]];
    let Memberships { users, channels } = &mut state.memberships;
    match step % 5 {
        0 | 1 => {
            channels.retain(|(channel, _)| channel.as_str() != name[0]);
            channels.extend(held(&name));
            (Change::Joined(held(&name)), Effect::Adds)
        }
        2 => {
            channels.retain(|(channel, _)| channel.as_str() != name[0]);
            (Change::Left(vec![Name::new(name[0]).unwrap()]), Effect::TakesAway)
        }
        3 => {
            let effect = if users.is_empty() { Effect::Adds } else { Effect::TakesAway };
            *users = held(&name);
            let standing = state.standing.clone();
            (Change::Proved { users: held(&name), standing, left: Vec::new() }, effect)
        }
        _ => (Change::Whole(state.clone()), Effect::Adds),
    }
}

/// Changes sessions, and compares after each change that is recorded what a loss of power leaves. Returns how often it
/// left less than what they are.
fn changes(sync: LogSync) -> usize {
    const SESSIONS: u64 = 7;
    let directory = Directory::new(&format!("power-{sync:?}").replace(['(', ')', ' '], "-"));
    let (sessions, synced, asks) = watched(&directory, sync);
    let mut now: HashMap<SessionKey, SessionState> = HashMap::new();
    // What they were since the last change that took something away: any of it may be left.
    let mut may_be = vec![States::new()];
    let (mut random, mut less, mut anew) = (1_u64, 0, 0);
    for _ in 0..1_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, step) = (random >> 33, random >> 40);
        let key = key(u32::try_from(id % SESSIONS).unwrap());
        let (change, effect) = match now.get_mut(&key) {
            None => {
                now.insert(key, state(&["a"]));
                (Change::Whole(state(&["a"])), Effect::Adds)
            }
            Some(_) if step % 23 == 0 => {
                now.remove(&key);
                (Change::Ended, Effect::TakesAway)
            }
            Some(state) => self::change(step, state),
        };
        wait(sessions.record(key, effect, change));
        if effect == Effect::TakesAway || sync == LogSync::Always {
            may_be.clear();
        }
        may_be.push(states(&now));
        let found = after_a_loss(&directory, &synced);
        assert_eq!(found.unknown, None);
        let left = states(found.sessions.iter().map(|(key, state)| (key, state)));
        assert!(may_be.contains(&left), "{left:?} is none of {may_be:?}");
        less += usize::from(may_be.last() != Some(&left));
        if asks.try_recv().is_ok() {
            anew += 1;
            now.iter().for_each(|(key, state)| sessions.note(*key, || state.clone()));
            sessions.noted_all();
        }
    }
    assert!(anew > 3, "files were written anew {anew} times");
    assert!(sessions.end());
    less
}

#[test]
fn with_always_a_loss_of_power_takes_nothing_that_a_client_was_told_of() {
    assert_eq!(changes(LogSync::Always), 0);
}

#[test]
fn with_interval_a_loss_of_power_gives_nothing_back_that_was_taken_away() {
    let less = changes(LogSync::Interval(Duration::from_secs(3_600)));
    assert!(less > 0, "what was added since may be gone");
}
