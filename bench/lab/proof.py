"""The jobs of bench/proof, and what is made of what they found."""

from . import fairness, page, proving, stalling
from .tables import about, grid

JOBS = {
    "traced": proving.writes_traced,
    "counted": proving.writes_counted,
    "idle": proving.idle,
    "encoded": proving.encoded_once,
    "memory": proving.memory,
    "shared": stalling.shared,
    "alone": stalling.alone,
    "fair": fairness.fair,
}


def table(results):
    holds = {True: "yes", False: "NO", None: ""}
    claims = [claim for job in JOBS for report in results.reports(job, "turted").values() for claim in report["claims"]]
    return grid([["claim", "figure", "holds"], *([text, figure, holds[found]] for text, figure, found in claims)])


def section(results, command):
    parts = ["## What the design expects", about(results.about, command), TEXT, table(results), STALL_TEXT]
    if results.failures:
        parts += ["### What was not measured", "\n".join(f"- {one['job']}: {one['why']}" for one in results.failures)]
    return "\n\n".join(parts)


TEXT = """\
Shown by the calls that strace sees, by what the server counts (`/metrics`), and by /proc; counts hold on a busy machine too. That a
delivery allocates nothing is shown by a test, `crates/turted/tests/allocations.rs`. For pushes to one user and for heartbeats the
server and the clients that are looked at go before everything else on the machine, where that is allowed."""

STALL_TEXT = """\
What a reader that stalls costs, until it is cut, depends on whose frames wait for it. The kernel holds twice
`limits.send_buffer_bytes` and its own records. In the server up to `limits.outbox_bytes` (1 MiB) or `limits.outbox_frames` (1,000)
wait, at most for `limits.outbox_stall` (10 s) without progress.

- Frames that others get too, of channels and broadcasts, are there once per worker and wire, however many wait for them: all that
  stall in a channel own 1 MiB together, and each one 32 bytes per frame that waits. So a reader among many costs less than 300 kB,
  the kernel included; a single one may still be the only one for whom 1 MiB is kept.
- Frames of its own, of pushes to one user, are shared with nobody: each reader may cost 1 MiB and what the kernel holds, four times
  as much as 300 kB. 10,000 users who stall while each is sent 100 kB/s own up to 12 GB.

Who must bound the second case lowers `limits.outbox_bytes`: with 128 KiB a stalled reader costs less than 300 kB in either case, unless
a single event is larger, which always fits. The default stays at 1 MiB: less would cut readers who are merely slow after bursts of a few hundred kilobytes, which is what a phone in a tunnel
is, and a push of 1 MiB would pass alone but not behind another frame."""


def publish(results, command):
    page.write_section("proof", section(results, command))
