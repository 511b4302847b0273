"""What stands between transcript and prompt: questions that wait, and what is going on."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sollol_tui.core import units
from sollol_tui.ui.chat.models import ModelChoice
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.text import Line, Span, clean, fit_line
from sollol_tui.ui.theme import painted
from sollol_tui.ui.widgets.strip import OneLine, Segment

QUEUE_SHOWN = 3
_MANY_CELLS = 400

HINT: tuple[Line, ...] = (
    (),
    (("Ask something.", ""),),
    (("The router chooses who answers, and says why.", "muted"),),
    (),
    (("Enter", "key"), (" sends   ", "muted"), ("^j", "key"), (" new line   ", "muted")),
    (("↑", "key"), (" last question   ", "muted"), ("/model", "key"), (" other model", "muted")),
)
"""What an empty chat says."""


class ChatStatus(Widget):
    """The waiting questions, and one line."""

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self._queue = Static(markup=False, id="chat-queue")
        self._line = OneLine(ascii_only=ascii_only, id="chat-state")

    def compose(self) -> ComposeResult:
        yield from (self._queue, self._line)

    def on_mount(self) -> None:
        self._queue.display = False

    def show(
        self,
        session: ChatSession,
        model: str,
        choice: ModelChoice | None,
        unseen: int,
        now_s: float,
    ) -> None:
        """Say how the chat stands."""
        right = [_badge(unseen)] if unseen else []
        if state := session.state(now_s):
            stop = Segment((("Esc", "key"), (" stops", "muted")), 1, "stop")
            self._line.show([Segment((("● ", "accent"), (state, "")), 3)], [*right, stop])
        else:
            self._line.show(idle_segments(session, model, choice), right)

    def show_queue(self, prompts: Sequence[str], *, is_held: bool) -> None:
        """The questions that wait; the line stands alone when there is none."""
        self._queue.display = bool(prompts)
        if prompts:
            lines = [painted(line) for line in queue_lines(prompts, is_held=is_held)]
            self._queue.update(Content("\n").join(lines))


def idle_segments(session: ChatSession, model: str, choice: ModelChoice | None) -> list[Segment]:
    """What the next question goes to, or what holds it."""
    if session.queue:
        count = len(session.queue)
        held = "1 question is held" if count == 1 else f"{count} questions are held"
        keys: Line = (
            (f"{held}   ", "warn"),
            *(("Enter", "key"), (" goes on   ", "muted")),
            *(("Esc", "key"), (" forgets them", "muted")),
        )
        return [Segment(keys, 3)]
    if not model:
        return [
            Segment((("no model yet", "warn"), (" · none was found to ask", "muted")), 3, "model")
        ]
    return [
        Segment(((clean(model), "bold"),), 3, "model"),
        Segment(((_about(choice), "muted"),), 2, "model"),
    ]


def queue_lines(prompts: Sequence[str], *, is_held: bool) -> list[Line]:
    """The first questions that wait, a line each, and how many more there are."""
    word = "held" if is_held else "next"
    lines: list[Line] = [
        ((f"{word}  ", "head"), (clean(prompt), "muted")) for prompt in prompts[:QUEUE_SHOWN]
    ]
    more = len(prompts) - QUEUE_SHOWN
    if more > 0:
        lines[-1] = (*lines[-1], (f"  +{more} more", "head"))
    return [fit_line(line, _MANY_CELLS) for line in lines]


def _badge(unseen: int) -> Segment:
    lines = "1 new line" if unseen == 1 else f"{units.count(unseen)} new lines"
    badge: Span = (f" ↓ {lines} · End ", "badge")
    return Segment((badge,), 9, "end")


def _about(choice: ModelChoice | None) -> str:
    """`3.2 B · gpu-rig +1 · loaded`."""
    if choice is None:
        return "nobody is known to have it"
    if choice.problem:
        return clean(choice.problem)
    usable = sorted(
        (place for place in choice.places if not place.problem), key=lambda p: not p.is_loaded
    )
    names = [clean(place.name) for place in usable]
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    parts = [
        units.parameters(choice.parameters) if choice.parameters else "",
        f"{names[0]}{more}",
        "loaded" if choice.is_loaded else "not loaded",
    ]
    return " · ".join(part for part in parts if part)
