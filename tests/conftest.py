"""What every test stands on: an empty home, no variables of the person who runs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# A shell gives what it starts in the background a Ctrl-C that does nothing, and so to all children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Textual reads these once, at its import.
os.environ["TEXTUAL_ANIMATIONS"] = "none"
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
os.environ.pop("NO_COLOR", None)
os.environ["TZ"] = "UTC"

import pytest

_FOREIGN = ("SOLLOL", "OLLAMA", "REDIS", "LLAMA", "GGML", "RPC_BACKENDS", "XDG_", "NO_COLOR")


@pytest.fixture(autouse=True)
def _a_clean_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
