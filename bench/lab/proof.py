"""The jobs of bench/proof, and the table made from what they found."""

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
server and the observed clients have priority over everything else on the machine, where that is allowed."""

STALL_TEXT = """\
What a reader that stalls costs, until it is cut, depends on whose frames wait for it. The kernel holds twice
`limits.send_buffer_bytes` and its own records. In the server up to `limits.outbox_bytes` (16 MiB) or `limits.outbox_frames` (16,384)
wait, at most for `limits.outbox_stall` (10 s) without progress, and all that waits together is bounded by `limits.backlog_bytes`.

- Frames that others get too, of channels and broadcasts, are there once per worker and wire, however many wait for them: all that
  stall in a channel share them, and each one owns 32 bytes per frame that waits, half a megabyte at most. So a reader among many costs
  less than 300 kB, the kernel included, unless 7,000 events reach it in 10 s; a single one may be the only one for whom they are kept.
- Frames of its own, of pushes to one user, are not shared: each reader may cost what it is sent in 10 s. Where that is more
  than `limits.backlog_bytes` for all of them, those that something has waited for longest are closed first.

To bound a single reader, lower `limits.outbox_bytes`: with 128 KiB a stalled reader costs less than 300 kB in either case, unless
a single event is larger, which always fits. A lower limit also cuts readers that are only slow, such as a phone in a tunnel."""


def publish(results, command):
    page.write_section("proof", section(results, command))
