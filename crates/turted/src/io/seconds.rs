//! One timer for many waits that seldom end by it. A timer for each would cost more than what is waited for: each one
//! that is set wakes its thread.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

const TICK: Duration = Duration::from_secs(1);

/// The seconds of one thread.
#[derive(Debug, Default)]
pub(crate) struct Seconds(Notify);

impl Seconds {
    /// Counts seconds for ever.
    pub(crate) async fn run(&self) {
        loop {
            sleep(TICK).await;
            self.0.notify_waiters();
        }
    }

    /// Waits for something, but not longer than `longest` and one second. As cancel safe as what is waited for.
    pub(crate) async fn wait<T>(&self, longest: Duration, waited_for: impl Future<Output = T>) -> Option<T> {
        let (began, mut waited_for) = (Instant::now(), pin!(waited_for));
        loop {
            tokio::select! {
                biased;
                done = &mut waited_for => return Some(done),
                () = self.0.notified() => {
                    if began.elapsed() >= longest {
                        return None;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_what_is_waited_for_or_with_a_second_after_its_time() {
        let seconds = Seconds::default();
        assert_eq!(seconds.wait(Duration::ZERO, ready(7)).await, Some(7));
        let never = seconds.wait(Duration::ZERO, pending::<()>());
        assert!(timeout(Duration::from_millis(10), never).await.is_err(), "no second has passed");
        let none = tokio::select! {
            () = seconds.run() => unreachable!("it runs for ever"),
            none = seconds.wait(Duration::ZERO, pending::<()>()) => none,
        };
        assert_eq!(none, None);
    }
}
