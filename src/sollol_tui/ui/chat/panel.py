"""The chat on the screen: a conversation, what is going on, what waits, and the prompt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message

from sollol_tui.core.asks import AskRequest
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.conversation import Ask, Conversation
from sollol_tui.ui.chat.message_actions import MessageActions
from sollol_tui.ui.chat.models import find_model
from sollol_tui.ui.chat.queue import Question
from sollol_tui.ui.chat.session import has_pictures, without_pictures
from sollol_tui.ui.chat.status import PICTURE
from sollol_tui.ui.chat.talk import Talk
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.messages import Told
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import Line
from sollol_tui.ui.theme import painted
from sollol_tui.ui.widgets.prompt import Prompt
from sollol_tui.ui.widgets.still import Still
from sollol_tui.ui.widgets.strip import OneLine

RequestChange: TypeAlias = Callable[[AskRequest], AskRequest]


def unchanged(request: AskRequest) -> AskRequest:
    return request


class ChatPanel(Still, Talk):
    """One chat: ask in it, and read.

    Args:
        ask: routes a question and streams its answer; closing the iterator stops it.
        conversation: its id, by which the router keeps it on one target; empty: a new one.
        wanted_model: the model to begin with; empty: one that is loaded, or the first there is.
        clock: seconds; only differences count.
    """

    DecisionWanted = Conversation.DecisionWanted
    Crashed = Conversation.Crashed

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", id="chat.stop", tooltip="Stop the answer, keep its text"),
        Binding("alt+up", "read", "Messages", id="chat.read", tooltip="Into the messages"),
        Binding("alt+down", "write", "Write", id="chat.write", tooltip="To the prompt", show=False),
    ]

    class Submitted(Message):
        """A question is being asked."""

        def __init__(self, text: str, model: str) -> None:
            super().__init__()
            self.text = text
            self.model = model

    class StopRequested(Message):
        """The answer was stopped by hand."""

    def __init__(
        self,
        ask: Ask,
        *,
        conversation: str = "",
        wanted_model: str = "",
        ascii_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        conversed = Conversation(ask, conversation=conversation, ascii_only=ascii_only, clock=clock)
        super().__init__(conversed, clock=clock, ascii_only=ascii_only, id=id)
        self.actions = MessageActions(self)
        self._told_blind = ""  # the model of which it was said that it sees no earlier pictures
        self.set_reactive(ChatPanel.model, wanted_model)

    # What the screen asks of it

    def set_title(self, title: Line) -> None:
        self.border_title = painted(title)

    def new_chat(self) -> None:
        """Forget the conversation and what was set for it, and begin another."""
        self.actions.give_up()
        self._told_blind = ""
        self.forget()
        self.conversation.clear()
        self.show_setup()
        self.rest()

    def stop(self) -> None:
        """Stop the answer; its text stays, marked."""
        if self.is_streaming:
            self.conversation.stop()
            self.post_message(self.StopRequested())

    # Questions

    def submit(self, text: str) -> None:
        """Ask a question; while an answer is written it waits in the queue."""
        question = Question(text, self.attached)
        if not self.model_in_use:
            self.prompt.take_back(text)
            self.post_message(self.ModelWanted())
        elif why := self.blind(question):
            self.prompt.take_back(text)
            self.post_message(Told(why, refused=True))
        elif self.actions.send(question):
            pass
        elif self.is_streaming or self.queue:
            self.attach(())
            self.queue.add(question)
        else:
            self.attach(())
            self.ask(question)

    def ask(
        self, question: Question, at: int | None = None, *, but: RequestChange = unchanged
    ) -> None:
        """Ask now, in the place of the turn `at` and all after it; `but` changes this request and
        nothing else. Raises `Refused` for pictures that the model does not see."""
        if why := self.blind(question):
            raise Refused(why)
        setup = self._request(question, self.model_in_use, at)
        self.conversation.begin(but(setup), question.images, at=at, setup=setup)
        self.go_on_saying()
        self.post_message(self.Submitted(question.text, setup.model))

    def go_on_with(self, turn: Turn) -> None:
        """Have the last answer continued, by the model that began it."""
        question = Question(turn.prompt, turn.images)
        setup = self._request(question, self.model_in_use, -1)
        request = self._request(question, turn.model, -1)._replace(so_far=turn.answer)
        self.conversation.go_on(request, setup)
        self.go_on_saying()

    def _request(self, question: Question, model: str, at: int | None) -> AskRequest:
        request = self.session.to_request(
            question.text,
            model,
            self.options,
            mode=self.mode,
            target=self.target,
            images=question.images,
            at=at,
        )
        choice = find_model(self.models, model)
        if choice is None or choice.sees is not False or not has_pictures(request):
            return request
        if self._told_blind != model:
            self._told_blind = model
            self.post_message(Told(sentences.asked_blind(model), refused=True))
        return without_pictures(request)

    @on(Conversation.Ended)
    def go_on(self, event: Conversation.Ended) -> None:
        """An answer is over: the next question, or rest. One that got no answer comes back."""
        event.stop()
        turn = event.turn
        if turn not in self.session.turns:
            self.actions.ended(turn)
        elif turn.outcome == "failed" and self.prompt.take_back(turn.prompt):
            self.attach(turn.images)
        if turn.outcome not in ("complete", "length"):
            self.queue.hold()
        self._ask_next()

    def _ask_next(self) -> None:
        if self.queue and (why := self.blind(self.queue[0])) and not self.queue.is_held:
            self.queue.hold()
            self.post_message(Told(why, refused=True))
        following = None if self.is_streaming else self.queue.next()
        if following is not None:
            self.ask(following)
        elif not self.is_streaming:
            self.rest()

    def go_on_asking(self) -> None:
        """Let a held queue go on."""
        self.queue.release()
        self._ask_next()

    def settle(self) -> None:
        """Something was set for the chat: keep it, show it."""
        keeper = self.conversation.keeper
        if keeper is not None:
            keeper.settle(self.session, self.model_in_use, self.options, self.mode, self.target)
        self.show_setup()

    def being_changed(self) -> str:
        return self.actions.words()

    # What its parts say

    @on(Prompt.Submitted)
    def ask_question(self, event: Prompt.Submitted) -> None:
        event.stop()
        self.submit(event.text)

    @on(Prompt.EnteredNothing)
    def release_queue(self, event: Prompt.EnteredNothing) -> None:
        """Enter in the empty prompt lets held questions go on."""
        event.stop()
        self.go_on_asking()

    @on(Prompt.WaitingLeft)
    def leave_waiting(self, event: Prompt.WaitingLeft) -> None:
        """A question of the queue is as it shall be: the queue goes on, if it waited for that."""
        event.stop()
        self._ask_next()

    @on(Prompt.ScrollWanted)
    def scroll(self, event: Prompt.ScrollWanted) -> None:
        event.stop()
        if event.pages is None:
            self.transcript.follow()
        else:
            self.transcript.action_page(event.pages)

    @on(OneLine.Pressed)
    def press(self, event: OneLine.Pressed) -> None:
        event.stop()
        if event.segment_id == "end":
            self.transcript.follow()
        elif event.segment_id == "model":
            self.post_message(self.ModelWanted())
        elif event.segment_id == "stop":
            self.stop()
        elif event.segment_id.startswith(PICTURE):
            self.drop(int(event.segment_id.removeprefix(PICTURE)))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Who writes has no message in mind."""
        if event.widget is self.prompt and self.prompt.has_focus:
            self.transcript.choose(None)
        self.show_state()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "read":
            return bool(self.session.turns) and not self.transcript.has_focus
        if action == "write":
            return not self.prompt.has_focus
        if action != "stop":
            return True
        return self.is_streaming or bool(self.queue) or self.actions.editing is not None

    def action_read(self) -> None:
        self.transcript.focus()

    def action_write(self) -> None:
        self.focus_prompt()

    def action_stop(self) -> None:
        """Stop the answer; when none is written, leave the changed question as it was, or forget
        the questions that wait."""
        if self.is_streaming:
            self.stop()
        elif self.actions.editing is not None:
            self.actions.give_up()
        else:
            self.queue.clear()
            self.rest()
