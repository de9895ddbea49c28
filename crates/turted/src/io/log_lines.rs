//! Log lines on their way to standard error. A thread that logs never waits for the program that reads.
//!
//! A pipe that is not read, because a log collector hangs say, takes 64 KiB and then stops the thread that
//! writes. So lines wait in a bounded queue, and a thread of its own writes them. Lines that do not fit are
//! dropped and counted. How many they were is logged once lines can be written again.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use turted_core::limits::LOG_QUEUE_BYTES_MAX;

/// What a line takes beside its text: its place in the queue, and its allocation.
const LINE_BYTES: usize = 64;
/// Time between two lines that tell of dropped ones: a reader that stays slow learns of the dropped lines, and
/// still gets other lines.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The lines of this process.
pub(crate) static QUEUE: OnceLock<Queue> = OnceLock::new();

/// How many lines were dropped since the start.
pub(crate) fn dropped() -> u64 {
    QUEUE.get().map_or(0, Queue::dropped)
}

/// Lines that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is a line to write.
    filled: Condvar,
    /// A line was written.
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// A line was taken out and is being written.
    is_writing: bool,
    /// The thread that writes. Its own lines tell of dropped ones, once in a while, and always fit.
    writer: Option<ThreadId>,
}

impl Queue {
    /// Puts a line at the end, or drops it. Never waits.
    pub(crate) fn put(&self, line: &[u8]) {
        let line = Box::<[u8]>::from(line);
        let mut waiting = self.waiting();
        let bytes = waiting.bytes + cost(&line);
        if bytes > LOG_QUEUE_BYTES_MAX && waiting.writer != Some(thread::current().id()) {
            self.drop_one();
            return;
        }
        waiting.bytes = bytes;
        waiting.lines.push_back(line);
        self.filled.notify_one();
    }

    /// How many lines were dropped.
    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until every line is written, but no longer than `patience`. Returns whether all are written.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let is_behind = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        let waited = self.written.wait_timeout_while(self.waiting(), patience, is_behind);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Writes lines as they come, for ever. `tell` is to log how many were dropped.
    pub(crate) fn write(&self, mut out: impl Write, tell: impl Fn(u64)) {
        self.waiting().writer = Some(thread::current().id());
        let (mut told, mut told_at) = (0, None::<Instant>);
        // While no line can be written, dropped lines are not told of: the line that tells of them would be
        // dropped as well, and would have to be told of in turn.
        let mut can_write = true;
        loop {
            if let Some(line) = self.next(can_write && self.dropped() > told) {
                can_write = self.write_line(&mut out, &line);
            }
            let dropped = self.dropped();
            if can_write && dropped > told && told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
                tell(dropped - told);
                (told, told_at) = (dropped, Some(Instant::now()));
            }
        }
    }

    /// Takes the next line out. If dropped lines are to be told of, it waits no longer than until that is
    /// allowed.
    fn next(&self, has_untold: bool) -> Option<Box<[u8]>> {
        let patience = if has_untold { TOLD_EVERY } else { Duration::MAX };
        let waited = self.filled.wait_timeout_while(self.waiting(), patience, |own| own.lines.is_empty());
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        let line = waiting.lines.pop_front()?;
        waiting.bytes -= cost(&line);
        waiting.is_writing = true;
        Some(line)
    }

    fn write_line(&self, out: &mut impl Write, line: &[u8]) -> bool {
        let is_written = out.write_all(line).is_ok();
        if !is_written {
            self.drop_one();
        }
        self.waiting().is_writing = false;
        self.written.notify_all();
        is_written
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(line: &[u8]) -> usize {
    line.len() + LINE_BYTES
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, mpsc};

    use super::*;

    /// A writer that passes each line on, and waits for permission before it.
    struct Slow {
        leave: mpsc::Receiver<io::Result<()>>,
        lines: mpsc::SyncSender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.leave.recv().unwrap_or_else(|_| {
                loop {
                    // The test is over.
                    thread::park();
                }
            })?;
            self.lines.send(String::from_utf8(line.to_vec()).unwrap()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Ends = (Arc<Queue>, mpsc::SyncSender<io::Result<()>>, mpsc::Receiver<String>);

    fn slow() -> Ends {
        let queue = Arc::new(Queue::default());
        let (leave, left) = mpsc::sync_channel(100_000);
        let (lines, written) = mpsc::sync_channel(100_000);
        let own = Arc::clone(&queue);
        thread::spawn(move || {
            let tell = |dropped| own.put(format!("{dropped} dropped").as_bytes());
            own.write(Slow { leave: left, lines }, tell);
        });
        (queue, leave, written)
    }

    /// As long a line as makes the queue hold 16.
    fn line(number: usize) -> String {
        format!("{number:0>0$}", LOG_QUEUE_BYTES_MAX / 16 - LINE_BYTES, number = number)
    }

    #[test]
    fn lines_that_do_not_fit_are_dropped_and_told_once_lines_can_be_written_again() {
        let (queue, leave, written) = slow();
        queue.put(b"first");
        while !queue.waiting().is_writing {
            thread::yield_now();
        }
        (0..16).for_each(|number| queue.put(line(number).as_bytes()));
        assert_eq!(queue.dropped(), 0, "as many as fit");
        (16..19).for_each(|number| queue.put(line(number).as_bytes()));
        assert_eq!(queue.dropped(), 3);
        (0..18).for_each(|_| leave.send(Ok(())).unwrap());
        assert_eq!(written.recv().unwrap(), "first");
        (0..16).for_each(|number| assert_eq!(written.recv().unwrap(), line(number)));
        assert_eq!(written.recv().unwrap(), "3 dropped");
        assert!(queue.flush(Duration::from_secs(10)));
        queue.put(b"last");
        leave.send(Ok(())).unwrap();
        assert_eq!(written.recv().unwrap(), "last", "it is told once");
    }

    #[test]
    fn short_lines_are_bounded_too() {
        let queue = Queue::default();
        (0..LOG_QUEUE_BYTES_MAX / LINE_BYTES).for_each(|_| queue.put(b""));
        assert_eq!(queue.dropped(), 0);
        queue.put(b"");
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn a_flush_waits_for_the_line_under_way_but_not_for_ever() {
        let (queue, leave, written) = slow();
        assert!(queue.flush(Duration::ZERO), "nothing waits");
        queue.put(b"line");
        assert!(!queue.flush(Duration::from_millis(50)));
        leave.send(Ok(())).unwrap();
        assert!(queue.flush(Duration::from_secs(10)));
        assert_eq!(written.recv().unwrap(), "line");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_and_the_next_one_tried() {
        let (queue, leave, written) = slow();
        queue.put(b"lost");
        leave.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        assert!(queue.flush(Duration::from_secs(10)));
        assert_eq!(queue.dropped(), 1);
        queue.put(b"next");
        (0..2).for_each(|_| leave.send(Ok(())).unwrap());
        assert_eq!([written.recv().unwrap(), written.recv().unwrap()], ["next", "1 dropped"]);
    }
}
