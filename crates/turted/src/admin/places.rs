//! The places of the admin listener. When all are taken, the connection that made no progress for longest
//! gives way, so connections that send nothing or read nothing keep no other client from `/health`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections that are served at once, and when each of them made progress.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    /// The number of the next connection. None is used again: a connection that gave way may still be ending.
    next: AtomicU64,
    /// Locked for a look at all of them, which are few.
    taken: Mutex<Vec<Taken>>,
}

#[derive(Debug)]
struct Taken {
    /// Ends the connection.
    end: CancellationToken,
    /// Whether its request is being answered: then the server is slow, not the connection.
    is_answered: bool,
    /// When it came, or made its last request.
    progress: Instant,
    number: u64,
}

/// One connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct AdminPlace {
    places: Arc<Places>,
    number: u64,
    end: CancellationToken,
}

impl Places {
    /// Room for so many connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, next: AtomicU64::new(0), taken: Mutex::default() })
    }

    /// A place for a connection. If none is left, another connection gives way.
    pub(super) fn take(self: &Arc<Self>) -> AdminPlace {
        let mut taken = self.taken();
        if taken.len() >= self.most
            && let Some(at) = longest_without_progress(&taken)
        {
            taken.swap_remove(at).end.cancel();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let end = CancellationToken::new();
        taken.push(Taken { end: end.clone(), is_answered: false, progress: Instant::now(), number });
        AdminPlace { places: Arc::clone(self), number, end }
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longest_without_progress(taken: &[Taken]) -> Option<usize> {
    let ages = taken.iter().map(|place| (place.is_answered, place.progress)).enumerate();
    ages.min_by_key(|(_, age)| *age).map(|(at, _)| at)
}

impl AdminPlace {
    /// Cancelled when the place is given to another connection.
    pub(super) fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// The connection has made a request, which is answered until [`answered`](Self::answered).
    pub(super) fn asked(&self) {
        self.note(true);
    }

    /// Its request was answered; whether it reads the answer is up to it.
    pub(super) fn answered(&self) {
        self.note(false);
    }

    fn note(&self, is_answered: bool) {
        if let Some(own) = self.places.taken().iter_mut().find(|taken| taken.number == self.number) {
            own.is_answered = is_answered;
            own.progress = Instant::now();
        }
    }
}

impl Drop for AdminPlace {
    fn drop(&mut self) {
        self.places.taken().retain(|taken| taken.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn is_ended(places: &[&AdminPlace]) -> Vec<bool> {
        places.iter().map(|place| place.end().is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_made_no_progress_for_longest_gives_way() {
        let places = Places::new(3);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(places.take());
            advance(Duration::from_secs(1)).await;
        }
        let [first, second, third] = taken.try_into().unwrap();
        first.asked();
        first.answered();
        let fourth = places.take();
        assert_eq!(is_ended(&[&first, &second, &third, &fourth]), [false, true, false, false]);
        drop(second);
        assert_eq!(places.taken().len(), 3, "its place has gone to the fourth");
        drop(third);
        let fifth = places.take();
        assert_eq!(is_ended(&[&first, &fourth, &fifth]), [false; 3], "there was room");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_us_gives_way_last() {
        let places = Places::new(2);
        let first = places.take();
        first.asked();
        advance(Duration::from_secs(1)).await;
        let second = places.take();
        let third = places.take();
        assert_eq!(is_ended(&[&first, &second, &third]), [false, true, false]);
        third.asked();
        let fourth = places.take();
        assert_eq!(is_ended(&[&first, &third, &fourth]), [true, false, false], "both wait for us");
    }
}
