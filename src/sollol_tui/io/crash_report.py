"""What is kept of a bug that ended a verb: the traceback, without the values of variables."""

from __future__ import annotations

import os
import platform
import time
import traceback
from pathlib import Path

from sollol_tui.io.files import write_secret

KEPT = 5


def write_crash_report(error: BaseException, state_dir: Path) -> Path | None:
    """Write the report, for its owner only; None when that cannot be.

    Arguments and local variables stay out: they hold prompts and keys.
    """
    lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
    head = "sollol-tui stopped because of a bug in it.\n"
    versions = f"Python {platform.python_version()}, {platform.platform()}\n\n"
    path = state_dir / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        write_secret(path, f"{head}{versions}{''.join(lines)}")
        for old in sorted(state_dir.glob("crash-*.txt"))[:-KEPT]:
            old.unlink()
    except OSError:
        return None
    return path
