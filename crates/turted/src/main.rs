//! The program `turted`; everything it does is in the library.

use std::process::ExitCode;

use tikv_jemalloc_ctl::{background_thread, max_background_threads};
use tikv_jemallocator::Jemalloc;

/// Gives memory back after many connections closed, where glibc keeps it (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Lets one thread of jemalloc give memory back: the threads of an idle server would not. There must not be
/// more than one, because jemalloc tries for ever to start threads that a limit of processes forbids.
fn give_memory_back() {
    // If this fails, memory comes back only when something is allocated: later, and less of it.
    let _ = max_background_threads::write(1).and_then(|()| background_thread::write(true));
}

fn main() -> ExitCode {
    give_memory_back();
    turted::cli::run(std::env::args_os(), std::env::vars_os())
}
