"""A conversation and the prompt under it, with a line that says, calmly, what is going on."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.timer import Timer

from sollol_tui.ui.chat.asking import Asking
from sollol_tui.ui.chat.conversation import Conversation
from sollol_tui.ui.chat.models import find_model
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.status import HINT
from sollol_tui.ui.widgets.transcript import Transcript

STATE_S = 0.25
"""The line that says what is going on changes no more often than that."""

QUIET_S = 0.6
"""When nothing came for so long, that line goes on by itself: seconds pass."""


class Talk(Asking):
    """Shows how the chat stands, at most so often, and each second while nothing comes.

    Args:
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        clock: Callable[[], float],
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(ascii_only=ascii_only, id=id)
        self.conversation = conversation
        self._clock = clock
        self._shown_s = 0.0
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield from (self.conversation, self.status, self.menu, self.prompt)

    def on_mount(self) -> None:
        self._timer = self.set_interval(STATE_S, self._say_again, pause=True)
        self.transcript.set_hint(HINT)
        self.watch(self.transcript, "moves", self._transcript_moved, init=False)
        self.rest()

    @property
    def session(self) -> ChatSession:
        return self.conversation.session

    @property
    def transcript(self) -> Transcript:
        return self.conversation.transcript

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written."""
        return self.conversation.is_streaming

    def being_changed(self) -> str:
        """What is being changed of what was said; empty when nothing is."""
        return ""

    # What is going on

    def go_on_saying(self) -> None:
        """An answer has begun."""
        if self._timer is not None:
            self._timer.resume()
        self.show_state()
        self.refresh_bindings()

    def rest(self) -> None:
        """Nothing is going on: nothing is said anew."""
        if self._timer is not None:
            self._timer.pause()
        self.show_waiting()
        self.show_state()
        self.refresh_bindings()

    def _transcript_moved(self) -> None:
        if not self.is_streaming or self._clock() - self._shown_s >= STATE_S:
            self.show_state()

    def _say_again(self) -> None:
        if self._clock() - self._shown_s >= QUIET_S:
            self.show_state()

    def show_state(self) -> None:
        self._shown_s = now_s = self._clock()
        model = self.model_in_use
        choice = find_model(self.models, model)
        self.status.show(
            self.session,
            self.queue,
            model,
            choice,
            self.transcript.unseen,
            now_s,
            editing=self.being_changed(),
            is_reading=self.transcript.has_focus,
        )

    def watch_models(self) -> None:
        if self.is_mounted and not self.is_streaming:
            self.show_state()

    watch_model = watch_models
