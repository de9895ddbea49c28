"""Where things are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "bench" / "peers"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TURTED = TARGET / "release" / "turted"
FLOOR = TARGET / "release" / "examples" / "floor"
FLOOR_PUSH, FLOOR_TLS = FLOOR.with_name("floor_push"), FLOOR.with_name("floor_tls")
# Raw results, and files that peers need. All of it can be made again.
WORK = TARGET / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
README = ROOT / "README.md"
