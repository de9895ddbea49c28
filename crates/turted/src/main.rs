//! The program `turted`; everything it does is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives memory back after many connections closed, where glibc keeps it (docs/benchmarks.md). Threads
/// of its own do so: those of an idle server would not.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    turted::cli::run(std::env::args_os(), std::env::vars_os())
}
