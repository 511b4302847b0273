"""What the program remembers between runs: mode, model, colours, what was added or drained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.core.state import Mode
from sollol_tui.io.files import write_atomically

FILE_NAME = "state.json"


class Kept(NamedTuple):
    """The remembered values; `mode` is None when nothing was chosen yet."""

    mode: Mode | None = None
    pinned: str = ""
    nodes: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()
    model: str = ""
    theme: str = ""


def read_kept(state_dir: Path) -> Kept:
    """What an earlier run kept. A missing or broken file is as if nothing had been kept."""
    try:
        raw = json.loads((state_dir / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Kept()
    if not isinstance(raw, dict):
        return Kept()
    mode = raw.get("mode")
    return Kept(
        mode=Mode(mode) if mode in set(Mode) else None,
        pinned=_text(raw, "pinned"),
        nodes=_texts(raw, "nodes"),
        backends=_texts(raw, "backends"),
        drained=_texts(raw, "drained"),
        model=_text(raw, "model"),
        theme=_text(raw, "theme"),
    )


def write_kept(state_dir: Path, kept: Kept) -> None:
    """Keep the values for the next run. Raises `OSError` when the directory cannot be written."""
    text = json.dumps(kept._asdict(), indent=2, ensure_ascii=False)
    write_atomically(state_dir / FILE_NAME, text + "\n")


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _texts(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    value = raw.get(key)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
