"""From a chat on the screen to what is kept of it, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sollol_tui.core.asks import AskRequest, ChatOptions, Failed, Finished, Usage
from sollol_tui.core.chats import KeptChat, KeptMessage, title_of
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode
from sollol_tui.engine.chats import Chats
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.text import Line

DRAFT_S = 3.0
"""An answer that is being written is kept so often: a crash costs no more than that."""

_CRASHED = Fault(FaultKind.CUT, "the program ended while it was written")


class Keeper:
    """Keeps chats as they go. Nothing here waits.

    Args:
        wall: seconds since the epoch.
    """

    def __init__(self, chats: Chats, wall: Callable[[], float]) -> None:
        self._chats = chats
        self._wall = wall
        self._request = AskRequest("", ())
        self._drafted_s = 0.0
        self._unwritten: Turn | None = None  # its question is kept with the first of its answer

    def began(self, session: ChatSession, request: AskRequest, now_s: float) -> None:
        """A question is being asked, or an answer continued. What it is to replace stays kept
        until there is a word of the new answer."""
        turn = session.turns[-1]
        self._request, self._drafted_s = request, now_s
        turn.asked_at_s = turn.asked_at_s or self._wall()
        self._unwritten = turn if session.replaced is not None else None
        if self._unwritten is None:
            number = _number(session)
            question = (number, kept_question(turn))
            self._chats.keep(self._chat(session), question, gone_from=number)

    def moved(self, session: ChatSession, now_s: float) -> None:
        """Something came of the answer."""
        if session.current is not None and now_s - self._drafted_s >= DRAFT_S:
            self._drafted_s = now_s
            self.ended(session, session.current)

    def ended(self, session: ChatSession, turn: Turn | None) -> None:
        """The answer is over; or, while it is running, this is a draft of it. One that came to
        nothing, so that what was there before is there again, leaves that kept as it is."""
        if turn is None or turn is not session.turns[-1]:
            return
        number = _number(session)
        answer = (number + 1, kept_answer(turn))
        if self._unwritten is None:
            self._chats.keep(self._chat(session), answer)
        elif turn.has_new_text:
            self._unwritten = None
            question = (number, kept_question(turn))
            self._chats.keep(self._chat(session), question, answer, gone_from=number)

    def deleted(self, session: ChatSession, at: int) -> None:
        """A turn was deleted: those after it are one place further up; a chat without any goes."""
        chat = session.conversation
        if not session.turns:
            self._chats.forget(chat)
            return
        later = (
            (2 * number + is_answer, kept_answer(turn) if is_answer else kept_question(turn))
            for number, turn in enumerate(session.turns[at:], start=at)
            for is_answer in (False, True)
        )
        self._chats.rewrite(chat, 2 * at, *later)

    def settle(
        self,
        session: ChatSession,
        model: str,
        options: ChatOptions,
        mode: Mode | None,
        target: str | None,
    ) -> None:
        """Something was set for the chat: it is kept, once there is a chat to keep."""
        self._request = AskRequest(model, (), options, mode, target)
        if session.turns:
            self._chats.keep(self._chat(session))

    def take_over(
        self,
        session: ChatSession,
        model: str,
        options: ChatOptions,
        mode: Mode | None,
        target: str | None,
    ) -> None:
        """Keep a conversation that was led elsewhere, with all that was said in it."""
        self._request = AskRequest(model, (), options, mode, target)
        numbered = list[tuple[int, KeptMessage]]()
        for at, turn in enumerate(session.turns):
            turn.asked_at_s = turn.asked_at_s or self._wall()
            numbered += [(2 * at, kept_question(turn)), (2 * at + 1, kept_answer(turn))]
        self._chats.keep(self._chat(session), *numbered)

    def _chat(self, session: ChatSession) -> KeptChat:
        now_s, request = self._wall(), self._request
        return KeptChat(
            session.conversation,
            title_of(session.turns[0].prompt),
            now_s,  # of one that is there, the first title and time stay
            now_s,
            request.model,
            session.system,
            request.options,
            request.mode,
            request.target,
        )


def _number(session: ChatSession) -> int:
    """Of the last question, within the chat; its answer has the next one."""
    return 2 * (len(session.turns) - 1)


def kept_question(turn: Turn) -> KeptMessage:
    """What is kept of a question."""
    return KeptMessage("user", turn.prompt, turn.asked_at_s, images=turn.images)


def kept_answer(turn: Turn) -> KeptMessage:
    """What is kept of an answer. Figures that its server did not tell are those counted here."""
    finished = turn.finished
    usage = finished.usage if finished else Usage()
    if usage.completion_tokens is None:
        usage = usage._replace(completion_tokens=turn.tokens, decode_tps=turn.decode_tps())
    return KeptMessage(
        "assistant",
        turn.answer,
        turn.asked_at_s,
        "".join(turn.thoughts),
        turn.model,
        tuple(turn.decisions),
        usage,
        turn.ttft_s,
        turn.passed_s,
        turn.tries,
        turn.outcome,
        turn.fault,
        tuple(turn.seams),
        turn.thought_s,
        notices=tuple(turn.notices),
    )


def session_of(chat: KeptChat, messages: Sequence[KeptMessage]) -> ChatSession:
    """The conversation that was kept, to go on with."""
    session = ChatSession(chat.id)
    session.system = chat.system
    for message in messages:
        if message.role == "user":
            turn = Turn(message.content, chat.model, 0.0, message.images)
            turn.asked_at_s = message.at_s
            turn.outcome, turn.fault = "failed", _CRASHED
            turn.end = end_lines(turn)
            session.turns.append(turn)
        elif session.turns:
            _fill(session.turns[-1], message)
    return session


def _fill(turn: Turn, message: KeptMessage) -> None:
    turn.model = message.model or turn.model
    if message.content:
        turn.write(message.content)
    turn.thoughts = [message.thinking] if message.thinking else []
    turn.thought_s = message.thought_s
    turn.decisions = list(message.decisions)
    turn.seams = list(message.seams)
    turn.notices = list(message.notices)
    turn.tries = message.tries
    turn.tokens = message.usage.completion_tokens or 0
    turn.fault = message.fault
    turn.ended_s = message.total_s
    turn.first_token_s = message.ttft_s
    turn.finished = Finished(
        "complete", message.usage, message.ttft_s, message.total_s, message.tries
    )
    match message.outcome:
        case "complete" | "length" | "stopped":
            turn.outcome = message.outcome
            turn.finished = turn.finished._replace(outcome=message.outcome)
        case _:
            turn.outcome = "incomplete" if turn.has_text else "failed"
            turn.fault = message.fault or _CRASHED
    turn.end = end_lines(turn)


def end_lines(turn: Turn) -> tuple[Line, ...]:
    """The lines under an answer that was kept."""
    if turn.finished is not None and turn.outcome in ("complete", "length", "stopped"):
        return (sentences.finished(turn.finished, ""),)
    target = turn.decisions[-1].target if turn.decisions else None
    failed = Failed(turn.fault or _CRASHED, target, len(turn.answer), turn.tries)
    return sentences.failed(failed, turn.target_name, turn.has_text)
