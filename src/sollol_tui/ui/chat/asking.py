"""The side of a chat that is written on: the prompt, its menu, what waits, what goes with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from textual import events, on
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget

from sollol_tui.core.asks import ChatOptions
from sollol_tui.core.images import Image, typed_paths
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.models import ModelChoice, best_model, find_model
from sollol_tui.ui.chat.queue import Question, Queue
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.status import ChatStatus
from sollol_tui.ui.chat_options import described
from sollol_tui.ui.messages import CommandGiven, Told
from sollol_tui.ui.text import SEPARATOR, content
from sollol_tui.ui.widgets.completions import Completions
from sollol_tui.ui.widgets.looks import Looks
from sollol_tui.ui.widgets.prompt import Prompt
from sollol_tui.ui.widgets.prompt_parts import REMEMBERED

Earlier: TypeAlias = Callable[[int], Awaitable[Sequence[str]]]


class Asking(Widget):
    """What is asked, of whom, and with what. `session` and `show_state` are its heir's."""

    models: var[tuple[ModelChoice, ...]] = var(())
    """The models there are (`models.models_of`)."""

    model: var[str] = var("")
    """The chosen model; empty: none was chosen, and the best one there is answers."""

    class ModelWanted(Message):
        """A model is to be picked; the answer goes into `ChatPanel.model`."""

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self.set_class(ascii_only, "-ascii", update=False)
        self._letters = Looks(self, ascii_only=ascii_only).letters
        self.options = ChatOptions()
        self.mode: Mode | None = None  # the mode in force
        self.target: str | None = None  # wherever the router sends it
        self.name_of: Callable[[str], str] = lambda target: target
        self._pictures: tuple[Image, ...] = ()  # that go with the question being written
        self.queue = Queue(self.show_waiting)
        self.earlier: Earlier | None = None  # gives the last questions of earlier runs
        self.prompt = Prompt("Ask the cluster", id="prompt")
        self.prompt.waiting = self.queue
        self.prompt.menu = self.menu = Completions(
            self._offered, ascii_only=ascii_only, id="chat-menu"
        )
        self.status = ChatStatus(ascii_only=ascii_only)

    @property
    def session(self) -> ChatSession:
        raise NotImplementedError

    def show_state(self) -> None:
        """Say what is going on."""
        raise NotImplementedError

    @property
    def model_in_use(self) -> str:
        """The model that the next question goes to; empty when there is none.

        The one that a chat began with goes on while it can be asked, also where nobody chose it.
        """
        turns = self.session.turns
        began = find_model(self.models, turns[0].model) if turns and not self.model else None
        if began is not None and began.is_usable:
            return began.name
        return best_model(self.models, self.model)

    def focus_prompt(self) -> None:
        self.prompt.focus()

    def forget(self) -> None:
        """Nothing is set, nothing waits, nothing goes with the question."""
        self.options, self.mode, self.target = ChatOptions(), None, None
        self.queue.clear()
        self.attach(())

    # What is set for the chat

    def show_setup(self) -> None:
        """What is set for the chat, on its lower border."""
        words = SEPARATOR.join(self._setup())
        self.border_subtitle = content(self._letters(words))

    def _setup(self) -> Iterator[str]:
        if self.target is not None:
            yield f"only {self.name_of(self.target)}"
        if self.mode is not None:
            yield f"mode {self.mode}"
        if self.session.system:
            yield "system prompt"
        yield from described(self.options)

    # Pictures

    def attach(self, images: tuple[Image, ...]) -> None:
        """These pictures go with the question in the prompt, no others."""
        if self.queue.picked is not None:
            self.queue.keep_images(images)
        else:
            self._pictures = images
            self.show_waiting()

    @property
    def attached(self) -> tuple[Image, ...]:
        """The pictures that go with the question in the prompt."""
        picked = self.queue.current
        return self._pictures if picked is None else picked.images

    def _offered(self, paths: tuple[str, ...]) -> str:
        choice = find_model(self.models, self.model_in_use)
        return sentences.offer(paths) if choice is not None and choice.sees else ""

    def drop(self, number: int) -> None:
        """Take one of the pictures off again."""
        self.attach((*self.attached[:number], *self.attached[number + 1 :]))

    def blind(self, question: Question) -> str:
        """Why a question with pictures cannot be asked; empty when it can."""
        choice = find_model(self.models, self.model_in_use)
        if not question.images or choice is None or choice.sees is not False:
            return ""
        return f"Not asked: {sentences.sees_not(choice.name, self.models)} /image none drops it."

    def show_waiting(self) -> None:
        """Show what waits and what goes with the question."""
        if self.is_mounted:
            self.status.show_queue(self.queue)
            self.status.show_pictures(self.attached)
            self.show_state()
            self.refresh_bindings()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The questions of earlier runs are read when somebody is about to write one."""
        if event.widget is self.prompt and self.earlier is not None:
            earlier, self.earlier = self.earlier, None
            self.run_worker(self._recall(earlier), description="reading the questions of before")

    async def _recall(self, earlier: Earlier) -> None:
        self.prompt.remember_earlier(await earlier(REMEMBERED))

    # What the prompt says

    @on(Prompt.CommandEntered)
    def give_command(self, event: Prompt.CommandEntered) -> None:
        event.stop()
        self.post_message(CommandGiven(event.text[1:].strip()))

    @on(Prompt.EnteredNothing)
    def want_words(self, _event: Prompt.EnteredNothing) -> None:
        """A picture alone is no question."""
        if self.attached and not self.queue:
            self.post_message(Told("Write what is to be asked about it.", refused=True))

    @on(Prompt.DeletedNothing)
    def drop_picture(self, event: Prompt.DeletedNothing) -> None:
        event.stop()
        self.drop(len(self.attached) - 1)

    @on(Prompt.PicturesWanted)
    def want_pictures(self, event: Prompt.PicturesWanted) -> None:
        event.stop()
        self.post_message(CommandGiven(f"image {typed_paths(event.paths)}"))
