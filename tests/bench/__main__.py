"""Runs the benchmarks one after the other; each prints its figures beside a baseline.

`python -m tests.bench [--short] [name …]`: names are file names without `bench_` and `.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run the named benchmarks, or all of them."""
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    flags = [a for a in sys.argv[1:] if a.startswith("-")]
    for script in sorted(HERE.glob("bench_*.py")):
        name = script.stem.removeprefix("bench_")
        if names and name not in names:
            continue
        print(f"\n# {name}", flush=True)
        if code := _run(script, flags):
            return code
    return 0


def _run(script: Path, flags: list[str]) -> int:
    """One benchmark in a process of its own: what another has loaded or left costs it nothing."""
    command = [sys.executable, "-m", f"tests.bench.{script.stem}", *flags]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
