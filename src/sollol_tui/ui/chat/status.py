"""What stands between transcript and prompt: questions that wait, and what is going on."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sollol_tui.core import units
from sollol_tui.core.ids import is_model_path
from sollol_tui.core.images import Image
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.models import ModelChoice
from sollol_tui.ui.chat.queue import Queue
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.text import Line, Span, clean, fit_line, width
from sollol_tui.ui.theme import painted
from sollol_tui.ui.widgets.looks import Looks
from sollol_tui.ui.widgets.strip import OneLine, Segment

QUEUE_SHOWN = 3
_PADDING = 2  # of the queue's lines, in the stylesheet
PICTURE = "picture "
"""What the ids of chips begin with; their numbers follow."""

_DROPS = Segment((("Bksp", "key"), (" drops", "muted")), 1)

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

    BLANK = True

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self._queue = Static(markup=False, id="chat-queue")
        self._line = OneLine(ascii_only=ascii_only, id="chat-state")
        self._pictures = OneLine(ascii_only=ascii_only, id="chat-pictures")
        self._looks = Looks(self, ascii_only=ascii_only)
        self._waiting: Queue | None = None

    def compose(self) -> ComposeResult:
        yield from (self._queue, self._line, self._pictures)

    def on_mount(self) -> None:
        self._queue.display = self._pictures.display = False

    def show(
        self,
        session: ChatSession,
        queue: Queue,
        model: str,
        choice: ModelChoice | None,
        unseen: int,
        now_s: float,
        *,
        editing: str = "",
        is_reading: bool = False,
    ) -> None:
        """Say how the chat stands."""
        right = [_badge(unseen)] if unseen else []
        escape = "Esc Esc" if is_reading else "Esc"  # the first one leads to the prompt
        if queue.picked is not None:
            self._line.show(changing_segments(queue.picked, len(queue)), right)
        elif state := session.state(now_s):
            stop = Segment(((escape, "key"), (" stops", "muted")), 1, "stop")
            self._line.show([Segment((("● ", "accent"), (state, "")), 3)], [*right, stop])
        elif editing:
            leave = Segment(((escape, "key"), (" leaves it as it was", "muted")), 2)
            self._line.show([Segment(((editing, "accent"),), 3), leave], right)
        else:
            self._line.show(idle_segments(len(queue), model, choice), right)

    def show_queue(self, queue: Queue) -> None:
        """The questions that wait; the line stands alone when there is none."""
        self._waiting = queue
        self._queue.display = bool(queue)
        if queue:
            letters, cells = self._looks.letters, self.size.width - _PADDING
            lines = [tuple((letters(t), n) for t, n in line) for line in queue_lines(queue, cells)]
            self._queue.update(Content("\n").join(map(painted, lines)))

    def on_resize(self) -> None:
        if self._waiting is not None:
            self.show_queue(self._waiting)

    def show_pictures(self, images: Sequence[Image]) -> None:
        """The pictures that go with the question in the prompt; a click drops one."""
        self._pictures.display = bool(images)
        self._pictures.show(picture_segments(images), [_DROPS] if images else [])


def changing_segments(picked: int, count: int) -> list[Segment]:
    """What can be done with the question of the queue that is in the prompt."""
    where: Span = (f"waiting question {picked + 1} of {count}", "accent")
    move: Line = (("^↑ ^↓", "key"), (" move", "muted"))
    return [
        Segment((where,), 5),
        Segment((("Enter", "key"), (" keeps", "muted")), 4),
        Segment((("Esc", "key"), (" leaves", "muted")), 4),
        *([Segment(move, 2)] if count > 1 else []),
        Segment((("empty", "key"), (" drops it", "muted")), 3),
    ]


def picture_segments(images: Sequence[Image]) -> list[Segment]:
    """A chip for each: its name, its size."""
    return [
        Segment(sentences.pictures([image]), 8 - number, f"{PICTURE}{number}")
        for number, image in enumerate(images)
    ]


def idle_segments(held: int, model: str, choice: ModelChoice | None) -> list[Segment]:
    """What the next question goes to, or how many are held and how they go on."""
    if held:
        words = "1 question is held" if held == 1 else f"{held} questions are held"
        return [
            Segment(((words, "warn"),), 5),
            Segment((("Enter", "key"), (" goes on", "muted")), 4),
            Segment((("↑", "key"), (" changes", "muted")), 2),
            Segment((("Esc", "key"), (" forgets", "muted")), 3),
        ]
    if not model:
        return [
            Segment((("no model yet", "warn"), (" · none was found to ask", "muted")), 3, "model")
        ]
    return [
        Segment(((sentences.model_words(model), "bold"),), 3, "model"),
        Segment(((_about(model, choice), "muted"),), 2, "model"),
    ]


def queue_lines(queue: Queue, cells: int) -> list[Line]:
    """The questions that wait, a line each: the first ones, or those around the one picked."""
    first = 0
    if queue.picked is not None:
        first = max(0, min(queue.picked - 1, len(queue) - QUEUE_SHOWN))
    lines: list[Line] = []
    for at, question in list(enumerate(queue))[first : first + QUEUE_SHOWN]:
        word: Span = ("held  " if queue.is_held else "next  ", "head")
        if at == queue.picked:
            word = ("edit  ", "accent")
        pictures = sentences.pictures(question.images)
        text: Span = (clean(question.text), "accent" if at == queue.picked else "muted")
        lines.append((word, text, *((("  ", ""), *pictures) if pictures else ())))
    before, after = first, len(queue) - first - len(lines)
    if before:
        lines[0] = _with_note(lines[0], f"  +{before} before", cells)
    if after > 0:
        lines[-1] = _with_note(lines[-1], f"  +{after} more", cells)
    return [fit_line(line, cells) for line in lines]


def _with_note(line: Line, note: str, cells: int) -> Line:
    """The line with a note behind it, for which there is always room."""
    return (*fit_line(line, max(1, cells - width(note))), (note, "head"))


def _badge(unseen: int) -> Segment:
    lines = "1 new line" if unseen == 1 else f"{units.count(unseen)} new lines"
    badge: Span = (f" ↓ {lines} · End ", "badge")
    return Segment((badge,), 9, "end")


def _about(model: str, choice: ModelChoice | None) -> str:
    """`3.2 B · gpu-rig +1 · loaded`."""
    if choice is None and is_model_path(model):
        return "a file, which a coordinator runs"
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
