"""What a person sees of a bug: one sentence, and a report without the values of variables."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

REPORTS_KEPT = 5


def write_report(error: BaseException, state_dir: Path | None) -> Path | None:
    """Write the traceback where the program keeps its state; None when that cannot be.

    Only code lines and the error's own text are written, never local variables: these hold
    prompts, headers and keys.
    """
    if state_dir is None:
        return None
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        path = state_dir / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(report(error))
        for old in sorted(state_dir.glob("crash-*.txt"))[:-REPORTS_KEPT]:
            old.unlink()
    except OSError:
        return None
    return path


def report(error: BaseException) -> str:
    """The traceback and the versions that matter, as text."""
    import textual

    lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
    versions = f"Python {sys.version.split()[0]}, Textual {textual.__version__}, {sys.platform}"
    return f"sollol-tui stopped because of a bug in it.\n{versions}\n\n{''.join(lines)}"


def sentence(error: BaseException, path: Path | None) -> str:
    """What is printed after the terminal was restored."""
    what = type(error).__name__
    where = f"the report is {path}" if path else "no report could be written"
    return f"sollol-tui stopped because of a bug in it ({what}); {where}."
