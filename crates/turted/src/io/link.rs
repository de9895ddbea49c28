//! The link between one worker and a thread that writes to disk: each wakes the other once, however much there is.
//!
//! A worker wakes the thread behind the tasks that were ready before, so that what these have for the disk is written at
//! once. What the thread has done goes back together, so that the worker is woken once and not by each.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What both sides hold.
#[derive(Debug)]
pub(crate) struct Link<T> {
    asked: Notify,
    /// What is done and not taken by the worker: at most what the thread was given. `None` when the worker has ended.
    done: Mutex<Option<Vec<T>>>,
    given_back: Notify,
}

/// The end of the worker.
#[derive(Debug)]
pub(crate) struct LinkEnd<T>(Arc<Link<T>>);

/// A link, and its end.
pub(crate) fn link<T>() -> (Arc<Link<T>>, LinkEnd<T>) {
    let done = Mutex::new(Some(Vec::new()));
    let link = Arc::new(Link { asked: Notify::new(), done, given_back: Notify::new() });
    (Arc::clone(&link), LinkEnd(link))
}

impl<T> Link<T> {
    /// Asks the worker to wake the thread, behind all that is ready.
    pub(crate) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Gives back to each worker what is done for it. For a worker that has ended it is dropped.
    pub(crate) fn give_back(done: impl IntoIterator<Item = (Arc<Self>, T)>) {
        let mut by_worker: Vec<(Arc<Self>, Vec<T>)> = Vec::new();
        for (link, done) in done {
            match by_worker.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &link)) {
                Some((_, list)) => list.push(done),
                None => by_worker.push((link, vec![done])),
            }
        }
        for (link, list) in by_worker {
            if let Some(done) = &mut *link.done() {
                done.extend(list);
            }
            link.given_back.notify_one();
        }
    }

    fn done(&self) -> MutexGuard<'_, Option<Vec<T>>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> LinkEnd<T> {
    /// Wakes the thread when it was asked for, and takes what is done, for ever.
    pub(crate) async fn run(self, wake: impl Fn(), take: impl Fn(T)) {
        loop {
            tokio::select! {
                () = self.0.asked.notified() => wake(),
                () = self.0.given_back.notified() => {
                    let done = self.0.done().as_mut().map(mem::take);
                    done.into_iter().flatten().for_each(&take);
                }
            }
        }
    }
}

impl<T> Drop for LinkEnd<T> {
    fn drop(&mut self) {
        let done = self.0.done().take();
        // Without the lock: what is dropped may wake somebody.
        drop(done);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_thread_is_woken_when_it_is_asked_for_and_all_that_is_done_comes_back() {
        let (link, end) = link();
        let (woken, taken) = (Cell::new(0), RefCell::new(Vec::new()));
        let run = end.run(|| woken.set(woken.get() + 1), |done| taken.borrow_mut().push(done));
        let tasks = async {
            link.ask();
            assert_eq!(woken.get(), 0, "what is ready comes first");
            yield_now().await;
            assert_eq!(woken.get(), 1);
            Link::give_back((0..10).map(|done| (Arc::clone(&link), done)));
            while taken.borrow().len() < 10 {
                yield_now().await;
            }
            link.ask();
            yield_now().await;
        };
        tokio::select! {
            biased;
            () = run => unreachable!("it runs for ever"),
            () = tasks => {}
        }
        assert_eq!(woken.get(), 2);
        assert_eq!(*taken.borrow(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_given_back_to_a_worker_that_has_ended_is_dropped() {
        let ((link, end), value) = (link(), Arc::new(()));
        Link::give_back([(Arc::clone(&link), Arc::clone(&value))]);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(end);
        assert_eq!(Arc::strong_count(&value), 1);
        Link::give_back([(link, Arc::clone(&value))]);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
