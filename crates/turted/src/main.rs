//! The program `turted`; everything it does is in the library.

use std::process::ExitCode;

use tikv_jemalloc_ctl::{background_thread, max_background_threads};
use tikv_jemallocator::Jemalloc;

/// Gives memory back after many connections closed, where glibc keeps it (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Lets one thread give memory back: those of an idle server would not. More than one must not be, as
/// jemalloc tries for ever to start those that a limit of processes forbids.
fn give_memory_back() {
    // Without it memory comes back when something is allocated, later and less.
    let _ = max_background_threads::write(1).and_then(|()| background_thread::write(true));
}

fn main() -> ExitCode {
    give_memory_back();
    turted::cli::run(std::env::args_os(), std::env::vars_os())
}
