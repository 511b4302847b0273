"""How a verb speaks: data to stdout, narration to stderr, both safe for any terminal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from typing import Literal, NamedTuple, TextIO

from sollol_tui.core.plain import plain_line

WIDTH_CELLS = 80

Colour = Literal["good", "warn", "bad", "dim"]
_ASCII = str.maketrans({"–": "-", "…": "~", "·": "|", "→": "->", "•": "*"})
_CODES: dict[Colour, str] = {"good": "32", "warn": "33", "bad": "31", "dim": "2"}


class Voice(NamedTuple):
    """Where to write, how wide, and whether in colours (only to a terminal that wants them)."""

    out: TextIO
    err: TextIO
    width_cells: int = WIDTH_CELLS
    colours: bool = False
    ascii: bool = False  # no glyphs of our own beyond ASCII

    def say(self, line: str = "") -> None:
        """One line of data."""
        self.out.write(f"{self._drawn(line)}\n")

    def say_json(self, value: object) -> None:
        """One line of JSON. ASCII only: no locale and no terminal can be upset by it."""
        self.out.write(json.dumps(value, ensure_ascii=True, allow_nan=False) + "\n")
        self.out.flush()

    def tell(self, sentence: str) -> None:
        """One line of narration."""
        self.err.write(f"{self._drawn(plain_line(sentence))}\n")
        self.err.flush()

    def painted(self, text: str, colour: Colour | None) -> str:
        """The text in a colour, or as it is."""
        if colour is None or not self.colours:
            return text
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"

    def _drawn(self, line: str) -> str:
        return line.translate(_ASCII) if self.ascii else line


def voice_for(out: TextIO, err: TextIO, env: Mapping[str, str]) -> Voice:
    """The voice that fits these streams. What their encoding cannot say becomes `?`."""
    for stream in (out, err):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    if not out.isatty():
        return Voice(out, err)
    colours = not env.get("NO_COLOR") and env.get("TERM", "") not in ("", "dumb")
    size = shutil.get_terminal_size((WIDTH_CELLS, 24))
    return Voice(out, err, max(size.columns, 40), colours or os.name == "nt")
