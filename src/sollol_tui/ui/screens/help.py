"""Help: made from the bindings that are live where the focus is, so it is never out of date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.live_keys import ANYWHERE, EDITING, HERE, LiveKey
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, fit, width, wrap_line
from sollol_tui.ui.widgets.lines_pane import LinesPane

_GROUPS = (HERE, "Messages", "Rows", "Move", "Cluster", "Panes", ANYWHERE, EDITING)
ORDER = {title: place for place, title in enumerate(_GROUPS, start=1)}
"""The groups, what is near first; groups of other names are those of the focused widget."""


_KEY_CELLS, _TITLE_CELLS, _GAP = 12, 14, "  "
_INDENT = 2 * len(_GAP) + _KEY_CELLS + _TITLE_CELLS  # where the explanation begins


def help_lines(keys: Iterable[LiveKey], cells: int) -> tuple[Line, ...]:
    """The keys in their groups, as lines of so many cells."""
    groups: dict[str, list[LiveKey]] = {}
    for key in keys:
        groups.setdefault(key.group, []).append(key)
    lines: list[Line] = []
    for title in sorted(groups, key=lambda title: ORDER.get(title, 0)):
        if lines:
            lines.append(())
        lines.append(((title, "head"),))
        for key in groups[title]:
            lines += wrap_line(_line(key), cells, _INDENT)
    return tuple(lines)


def _line(key: LiveKey) -> Line:
    names = " ".join(key.names)
    shown = fit(names, _KEY_CELLS) if width(names) <= _KEY_CELLS else names
    if key.help == key.title:
        return ((_GAP, ""), (shown, "key"), (_GAP, ""), (key.help, "muted"))
    title = fit(key.title, _TITLE_CELLS)
    return ((_GAP, ""), (shown, "key"), (_GAP, ""), (title, ""), (key.help, "muted"))


class HelpScreen(Dialog[None]):
    """A scrolling list of keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("question_mark,f1,q", "close", "Close", id="help.close", show=False),
    ]

    def __init__(self, keys: Sequence[LiveKey], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._keys = keys
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        pane = LinesPane(ascii_only=self._ascii_only, id="help", classes="dialog")
        pane.set_title("Keys")
        pane.set_subtitle("Esc closes")
        pane.show(lambda cells: help_lines(self._keys, cells))
        yield pane

    def action_close(self) -> None:
        self.dismiss(None)
