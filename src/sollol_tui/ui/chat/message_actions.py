"""What is done with the messages of a chat: asked again, continued, changed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.state import Mode
from sollol_tui.ui.chat.queue import Question
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.ui.chat.panel import ChatPanel

RUNNING = "An answer is being written: stop it first, with Esc in the prompt."


class Editing(NamedTuple):
    """A question that is being changed, and what stood in the prompt before."""

    turn: Turn
    draft: Question


class MessageActions:
    """Acts on the turns of one chat; refuses, with a sentence, what cannot be done."""

    def __init__(self, chat: ChatPanel) -> None:
        self._chat = chat
        self._editing: Editing | None = None
        self._replaced: Turn | None = None  # by the changed question that was sent last

    @property
    def editing(self) -> Editing | None:
        """The question that is being changed; none when its chat is not open any more."""
        is_there = self._editing is not None and self._editing.turn in self._chat.session.turns
        return self._editing if is_there else None

    def turn(self) -> Turn:
        """The chosen one, else the last one."""
        found = self._chat.conversation.chosen
        if found is None:
            raise Refused("Nothing was asked in this chat yet.")
        return found

    def turn_at_rest(self) -> Turn:
        """The same, when nothing is being written."""
        turn = self.turn()
        if self._chat.is_streaming:
            raise Refused(RUNNING)
        return turn

    def later(self, turn: Turn) -> int:
        """How many questions were asked after it."""
        turns = self._chat.session.turns
        return len(turns) - 1 - turns.index(turn)

    # Asking again

    def retry(
        self,
        turn: Turn,
        *,
        mode: Mode | None = None,
        target: str | None = None,
        avoid: tuple[str, ...] = (),
    ) -> None:
        """Ask it again: wherever the router sends it, or only of one target, or not of some."""
        if not self._chat.model_in_use:
            raise Refused("There is no model to ask: none was found.")
        self.give_up()
        self._take_out(turn.prompt)
        at = self._chat.session.turns.index(turn)
        self._chat.ask(
            Question(turn.prompt, turn.images),
            at,
            but=lambda request: request._replace(
                mode=mode or request.mode, target=target or request.target, avoid=avoid
            ),
        )

    def _take_out(self, text: str) -> None:
        """A question without an answer came back into the prompt: it is asked from here."""
        if self._chat.prompt.text == text:
            self._chat.prompt.write("")
            self._chat.attach(())

    def go_on(self, turn: Turn) -> None:
        """Have the answer continued from where it ended."""
        if not turn.has_text:
            raise Refused("There is no text to go on from: /retry asks again.")
        if not turn.can_go_on:
            raise Refused("This answer is whole: there is nothing to continue.")
        if self.later(turn):
            raise Refused("Only the last answer can go on: more was asked after this one.")
        self.give_up()
        self._chat.go_on_with(turn)

    # Changing a question

    def edit(self, turn: Turn) -> None:
        """Bring the question into the prompt. Nothing changes until it is sent."""
        self.give_up()
        chat = self._chat
        chat.queue.leave()
        self._take_out(turn.prompt)
        self._editing = Editing(turn, Question(chat.prompt.text, chat.attached))
        chat.attach(turn.images)
        chat.prompt.write(turn.prompt)
        chat.focus_prompt()
        chat.show_waiting()

    def give_up(self) -> None:
        """Leave the question as it was, and put back what stood in the prompt."""
        if self._editing is not None:
            draft, self._editing = self._editing.draft, None
            self._chat.prompt.write(draft.text)
            self._chat.attach(draft.images)
            self._chat.show_waiting()

    def send(self, question: Question) -> bool:
        """Ask the changed question in the place of the one before; False when none is changed."""
        if self.editing is None:
            return False
        turn, draft = self.editing
        self._editing, self._replaced = None, turn
        self._chat.attach(draft.images)
        self._chat.prompt.write(draft.text)
        self._chat.ask(question, self._chat.session.turns.index(turn))
        return True

    def words(self) -> str:
        """What sending does while a question is changed; empty when none is."""
        if self.editing is None:
            return ""
        later = self.later(self.editing.turn)
        if not later:
            return "sending replaces this question and its answer"
        return f"sending replaces this question and {questions(later)} after it"

    # The end of it

    def ended(self, turn: Turn) -> None:
        """An answer is over. A changed question that got none is there to be changed again."""
        replaced, self._replaced = self._replaced, None
        if replaced in self._chat.session.turns and not self._chat.prompt.text:
            self._editing = Editing(replaced, Question(""))
            self._chat.prompt.write(turn.prompt)
            self._chat.attach(turn.images)

    def delete(self, turn: Turn) -> None:
        """Forget the question and its answer."""
        self.give_up()
        self._chat.conversation.delete(turn)
        self._chat.show_waiting()


def questions(count: int) -> str:
    return "the question" if count == 1 else f"the {count} questions"
