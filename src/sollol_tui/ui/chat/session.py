"""A chat without a screen: what was asked and answered, and what each event lets the screen show.

Everything here is plain state: no widget, no clock (times are passed in), no task.
"""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.asks import (
    AskRequest,
    ChatMessage,
    ChatOptions,
    Delta,
    Failed,
    Finished,
    Notice,
    PartMoved,
    PartPlanned,
    Routed,
    RouteDecision,
    Said,
    Seam,
    Thinking,
    Waiting,
)
from sollol_tui.core.chats import NoticeMark
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import Image
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.turn import Outcome, Turn
from sollol_tui.ui.chat.updates import (
    FoldThought,
    RewriteThought,
    ShowEnd,
    ShowHeader,
    ShowNotice,
    ShowRestored,
    ShowSeam,
    ShowText,
    ShowThought,
    Update,
)
from sollol_tui.ui.text import Line

SERVER_DECIDES = ChatOptions()

NO_TOKEN_S = 3.0
"""So long without a token is worth saying."""


class Replaced(NamedTuple):
    """Turns that a new answer takes the place of, once it has a word."""

    at: int
    turns: tuple[Turn, ...]


class ChatSession:
    """One conversation. At most one answer is being written.

    Args:
        conversation: its id, by which the router keeps it on one target while the load allows.
    """

    def __init__(self, conversation: str = "") -> None:
        self.conversation = conversation
        self.system = ""  # told to the model before everything else
        self.turns = list[Turn]()
        self.replaced: Replaced | None = None  # what the running answer is to replace

    @property
    def current(self) -> Turn | None:
        """The turn whose answer is being written."""
        last = self.turns[-1] if self.turns else None
        return last if last is not None and last.outcome == "running" else None

    # Questions

    def to_request(
        self,
        prompt: str,
        model: str,
        options: ChatOptions = SERVER_DECIDES,
        *,
        mode: Mode | None = None,
        target: str | None = None,
        images: tuple[Image, ...] = (),
        at: int | None = None,
    ) -> AskRequest:
        """The question with what was said before, or before the turn `at`. Turns without any answer
        are left out: a model that finds two questions in a row answers the wrong one."""
        messages = [ChatMessage("system", self.system)] if self.system else []
        for turn in self.turns[:at]:
            if turn.has_text:
                messages.append(_asked(turn.prompt, turn.images))
                messages.append(ChatMessage("assistant", turn.answer))
        messages.append(_asked(prompt, images))
        return AskRequest(model, tuple(messages), options, mode, target, self.conversation)

    def begin(
        self,
        prompt: str,
        model: str,
        now_s: float,
        images: tuple[Image, ...] = (),
        at: int | None = None,
    ) -> Line:
        """A question is being asked, in the place of the turn `at` and all after it; the line over
        its answer. Without a word of an answer, what was there comes back."""
        self._put_aside(len(self.turns) if at is None else at)
        self.turns.append(Turn(prompt, model, now_s, images))
        return sentences.header(model, ())

    def go_on(self, now_s: float) -> None:
        """The last answer is being continued. Without another word, it is what it was."""
        self._put_aside(len(self.turns) - 1)
        assert self.replaced is not None, "there is nothing to go on with"
        self.turns.append(self.replaced.turns[0].continued(now_s))

    def delete(self, at: int) -> None:
        """Forget a question and its answer."""
        del self.turns[at]

    def _put_aside(self, at: int) -> None:
        """Turns without a word are no loss."""
        replaced = tuple(self.turns[at:])
        del self.turns[at:]
        has_text = any(turn.has_text for turn in replaced)
        self.replaced = Replaced(at, replaced) if has_text else None

    # Answers

    def apply(self, event: Said, now_s: float) -> tuple[Update, ...]:
        """What the transcript shall show of an event. Events after the end show nothing."""
        turn = self.current
        if turn is None:
            return ()
        match event:
            case Delta():
                return (*_unfolded(turn, now_s), *_written(turn, event, now_s))
            case Thinking():
                return _thought(turn, event, now_s)
            case Routed(decision):
                return _routed(turn, decision, now_s)
            case Waiting():
                turn.waiting, turn.waiting_s = event, now_s
                return ()
            case Notice(text):
                return (_noticed(turn, text),)
            case Seam():
                return (*_unfolded(turn, now_s), _seamed(turn))
            case PartPlanned(titles):
                turn.writers = [PartMoved(i, "waiting", "", 0) for i in range(len(titles))]
                return ()
            case PartMoved():
                turn.writers[event.part] = event
                return ()
            case Finished():
                return self._finished(turn, event, now_s)
            case Failed():
                return self._failed(turn, event, now_s)

    def stop(self, now_s: float) -> tuple[Update, ...]:
        """The person stopped the answer: what came stays."""
        turn = self.current
        if turn is None:
            return ()
        line = sentences.stopped(turn.figures(now_s))
        return self._end(turn, "stopped", (line,), now_s)

    def cut(self, fault: Fault, now_s: float) -> tuple[Update, ...]:
        """The answer ended without saying so."""
        turn = self.current
        target = turn.decisions[-1].target if turn and turn.decisions else None
        return self.apply(Failed(fault, target, 0), now_s)

    def _finished(self, turn: Turn, event: Finished, now_s: float) -> tuple[Update, ...]:
        event = turn.summed(event)
        line = sentences.finished(event, turn.figures(now_s))
        turn.finished, turn.tries = event, event.tries
        return self._end(turn, event.outcome, (line,), now_s)

    def _failed(self, turn: Turn, event: Failed, now_s: float) -> tuple[Update, ...]:
        turn.fault, turn.tries = event.fault, event.tries
        if event.fault.kind is FaultKind.STOPPED:
            return self.stop(now_s)
        lines = sentences.failed(event, _name_of(turn, event.target), turn.has_text)
        return self._end(turn, "incomplete" if turn.has_text else "failed", lines, now_s)

    def _end(
        self, turn: Turn, outcome: Outcome, lines: tuple[Line, ...], now_s: float
    ) -> tuple[Update, ...]:
        updates = _unfolded(turn, now_s)
        turn.outcome, turn.ended_s, turn.end = outcome, now_s, lines
        replaced, self.replaced = self.replaced, None
        if replaced is None or turn.has_new_text:
            return (*updates, ShowEnd(lines))
        self.turns[replaced.at :] = replaced.turns
        replaced.turns[0].note = sentences.kept_instead(
            turn.outcome, lines, turn.went_on is not None
        )
        return (*updates, ShowRestored(replaced.at))

    # What is going on

    def state(self, now_s: float) -> str:
        """The answer that is being written, in one line; empty when there is none."""
        turn = self.current
        if turn is None:
            return ""
        passed_s = now_s - turn.started_s
        if turn.writers:
            return sentences.writers(turn.writers, passed_s)
        if turn.first_token_s is None:
            if turn.waiting is not None:
                passed_s = turn.waiting.age_s + now_s - turn.waiting_s
            return sentences.waiting(turn.model, turn.target_name, turn.waiting, passed_s)
        silent_s = now_s - turn.last_token_s
        return sentences.running(
            turn.tokens,
            turn.decode_tps(),
            passed_s,
            is_thinking=turn.thinking_s is not None,
            silent_s=silent_s if silent_s >= NO_TOKEN_S else None,
        )


def has_pictures(request: AskRequest) -> bool:
    """Whether a picture goes with any of its questions."""
    return any(message.images for message in request.messages)


def without_pictures(request: AskRequest) -> AskRequest:
    """The question for a model that does not see: what was said, without the pictures."""
    blind = tuple(message._replace(images=()) for message in request.messages)
    return request._replace(messages=blind)


def _asked(prompt: str, images: tuple[Image, ...]) -> ChatMessage:
    return ChatMessage("user", prompt, tuple(image.data for image in images))


def _routed(turn: Turn, decision: RouteDecision, now_s: float) -> tuple[Update, ...]:
    updates = _unthought(turn)
    turn.route(decision)
    turn.waiting, turn.waiting_s = None, now_s
    header = sentences.header(decision.model or turn.model, turn.decisions)
    return (*updates, ShowHeader(header))


def _written(turn: Turn, event: Delta, now_s: float) -> tuple[Update, ...]:
    turn.count(event.tokens, now_s)
    turn.write(event.text, event.tokens)
    return (ShowText(event.text),)


def _thought(turn: Turn, event: Thinking, now_s: float) -> tuple[Update, ...]:
    if turn.thinking_s is None:
        turn.thinking_s = now_s
    turn.count(event.tokens, now_s)
    return (ShowThought(turn.think(event.text)),)


def _unthought(turn: Turn) -> tuple[Update, ...]:
    """What the target before thought is no part of the answer of the next one."""
    if not turn.forget_thoughts():
        return ()
    rewritten = RewriteThought("".join(turn.thoughts))
    if not turn.thoughts:
        return (rewritten,)
    return (rewritten, FoldThought(sentences.thought_label(turn.thought_s)))


def _noticed(turn: Turn, text: str) -> Update:
    turn.notices.append(NoticeMark(len(turn.answer), text))
    return ShowNotice(sentences.notice(text))


def _seamed(turn: Turn) -> Update:
    if turn.went_on is not None and not turn.has_new_text:
        words = sentences.gone_on(turn.target_name, turn.went_on)
    else:
        words = sentences.seam(turn.decisions)
    turn.seam(words)
    return ShowSeam(words)


def _unfolded(turn: Turn, now_s: float) -> tuple[Update, ...]:
    """The answer begins, or ends: what was thought is folded."""
    if turn.thinking_s is None:
        return ()
    turn.thought_s += now_s - turn.thinking_s
    turn.thinking_s = None
    return (FoldThought(sentences.thought_label(turn.thought_s)),)


def _name_of(turn: Turn, target: str | None) -> str:
    named = (sentences.target_name(d) for d in reversed(turn.decisions) if d.target == target)
    return next(named, "")
